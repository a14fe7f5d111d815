"""The ledger's peak beside torch's profiler, on the real model. Run it: python tests/bench/peaks.py [lora stack ...]

One training step of each technique on the CPU, once under the profiler and once under the ledger: the bytes alive
at most, and what the two counts differ by. The test suite does the same on a tiny model, within 1 %.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import torch

DEMOS = Path(__file__).parents[2] / "demos"
sys.path.insert(0, str(DEMOS))

from memlab.measuring.lab import Lab  # noqa: E402
from memlab.measuring.profiler import profiled_peak  # noqa: E402
from memlab.measuring.trainer import Trainer  # noqa: E402
from memlab.options.setup import Setup  # noqa: E402
from memlab.results.numbers import in_bytes  # noqa: E402
from memlab.results.record import STEPS  # noqa: E402
from memlab.results.techniques import ALL  # noqa: E402
from memlab.training import data  # noqa: E402
from memlab.training.model import find  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    every = [one.name for one in ALL if not one.sharded]
    parser.add_argument("techniques", nargs="*", metavar="TECHNIQUE", help=f"of {', '.join(every)}")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--seq", type=int, default=256)
    options = parser.parse_args()

    setup = Setup(batch=options.batch, seq=options.seq, lr=1e-5, init=None, device="cpu")
    print(f"{'':38} {'ledger':>14} {'profiler':>14} {'difference':>10}", flush=True)
    for name in options.techniques or every:
        if name == "stack":
            arms = [replace(setup, precision="bf16", step=step) for step in STEPS if step != "offload"]
        else:
            init = "pissa_niter_4" if name == "pissa" else None
            arms = [replace(setup, precision=precision, init=init) for precision in ("mixed", "bf16")]
        for one in arms:
            ledger, profiler = count(name, one)
            words = f"{name} {one.step or ''} {one.precision}".replace("  ", " ")
            print(
                f"{words:38} {in_bytes(ledger):>14} {in_bytes(profiler):>14} {ledger / profiler - 1:>+10.3%}",
                flush=True,
            )
            gc.collect()


def count(name: str, setup: Setup) -> tuple[int, int]:
    """Return the peak of a training step by the ledger and by the profiler, what was there before included."""
    spec = importlib.util.spec_from_file_location(f"demo_{name}", DEMOS / f"{name}.py")
    assert spec and spec.loader
    demo = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(demo)
    source = find(setup)
    lab = Lab(setup, 0, source, torch.device("cpu"))
    trainer = Trainer(lab, *demo.build(lab))
    text = (data.load("docstrings"), *source.tokenizer())
    batches = data.training_batches(*text, batch=setup.batch, seq=setup.seq, n=3, seed=0)
    trainer.step(batches[0])  # brings the optimizer's states
    above = profiled_peak(lambda: trainer.step(batches[1]))
    ledger = trainer.ledger_step(batches[2])
    before = sum(ledger.timeline()[0][1:])
    return ledger.peak().total, before + above


if __name__ == "__main__":
    main()
