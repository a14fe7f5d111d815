"""What measuring costs. Run it: python tests/bench/ledger.py

One training step of the real model, three ways in turns: a bare loop written out by hand, the lab's clean pass, and
a step under the ledger. Printed are the medians and their ratios to the bare loop; the aim for the clean pass is 1 %.
On a machine that does other work as well, the turns keep the ratios honest, and more rounds narrow them.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch

DEMOS = Path(__file__).parents[2] / "demos"
sys.path.insert(0, str(DEMOS))

from memlab.measuring.lab import Lab  # noqa: E402
from memlab.measuring.trainer import Trainer  # noqa: E402
from memlab.options.setup import Setup  # noqa: E402
from memlab.training import data  # noqa: E402
from memlab.training.model import find  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=41, help="times that each way is run (default: 41)")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--seq", type=int, default=128)
    options = parser.parse_args()

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    setup = Setup(batch=options.batch, seq=options.seq, lr=1e-5)
    source = find(setup)
    lab = Lab(setup, 0, source, device)
    model = lab.load_model("float32")
    trainer = Trainer(lab, model, lab.optimizer(model))
    text = (data.load("docstrings"), *source.tokenizer())
    (batch,) = data.training_batches(*text, batch=setup.batch, seq=setup.seq, n=1, seed=0)
    batch = {name: tensor.to(device) for name, tensor in batch.items()}

    def bare() -> None:
        with torch.autocast(device.type, torch.bfloat16):
            loss = model(**batch).loss
        loss.backward()
        trainer.optimizer.step()
        trainer.optimizer.zero_grad(set_to_none=True)
        loss.item()
        if device.type == "cuda":
            torch.cuda.synchronize()

    ways = {
        "bare loop": bare,
        "clean pass": lambda: trainer.timed_step(batch),
        "under the ledger": lambda: trainer.ledger_step(batch),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(3):
        bare()
    names = list(ways)
    for turn in range(options.rounds):
        for way in names[turn % 3 :] + names[: turn % 3]:  # each way comes first as often as last
            start = time.perf_counter()
            ways[way]()
            seconds[way].append(time.perf_counter() - start)

    print(
        f"full fine-tuning of {source.label}, mixed precision, batch {setup.batch} × {setup.seq}, {device.type}"
    )
    for way, values in seconds.items():
        # Turn by turn, so that a drift of the machine cancels out.
        ratio = statistics.median(a / b for a, b in zip(values, seconds["bare loop"], strict=True))
        print(
            f"{way:17} {statistics.median(values):8.4f} s a step (min {min(values):.4f}), {ratio:.3f} of the bare loop"
        )

    ledger = trainer.ledger_step(batch)
    start = time.perf_counter()
    ledger.peak()
    ledger.timeline()
    print(f"peak, breakdown and timeline worked out in {time.perf_counter() - start:.4f} s, once a run")


if __name__ == "__main__":
    main()
