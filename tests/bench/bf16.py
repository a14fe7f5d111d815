"""How much sooner a training step is done where bf16 goes through fp32. Run it: python tests/bench/bf16.py

Steps of LoRA in mixed precision, by PyTorch's bf16 kernels and by the lab's in turns, in one process: of a model of
five layers, and of the bundled one at 1 × 128 tokens. Where the CPU has bf16 units, this starts itself again with
AVX-512 switched off in oneDNN and in PyTorch (which MKL does not heed), as on a laptop that has AVX2 only, and says so.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import subprocess
import sys
import time
import warnings
from contextlib import nullcontext
from pathlib import Path

import torch
from transformers import LlamaConfig

DEMOS = Path(__file__).parents[2] / "demos"
sys.path.insert(0, str(DEMOS))

from memlab.measuring.lab import Lab  # noqa: E402
from memlab.measuring.trainer import Trainer  # noqa: E402
from memlab.options.setup import BUNDLED, Setup  # noqa: E402
from memlab.training import bf16_kernels, data  # noqa: E402
from memlab.training.model import find  # noqa: E402

AVX2_ONLY = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
SMALL = LlamaConfig(
    vocab_size=8192,
    hidden_size=320,
    intermediate_size=864,
    num_hidden_layers=5,
    num_attention_heads=5,
    num_key_value_heads=5,
    tie_word_embeddings=True,
)
LOSS_TOLERANCE = 0.01


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=2, help="times that each way is run (default: 2)")
    parser.add_argument("--threads", type=int, help="default: what PyTorch takes")
    options = parser.parse_args()

    if bf16_kernels.choose(bf16_kernels.this_cpu()).name == bf16_kernels.BY_TORCH:
        if AVX2_ONLY.items() <= os.environ.items():
            print("PyTorch multiplies bf16 fast here even without AVX-512: nothing to compare")
            return 0
        print("this CPU has bf16 units; as on one without, with", *(f"{k}={v}" for k, v in AVX2_ONLY.items()))
        sys.stdout.flush()
        return subprocess.run([sys.executable, *sys.argv], env=os.environ | AVX2_ONLY).returncode

    if options.threads:
        torch.set_num_threads(options.threads)
    print(f"LoRA, mixed precision, {torch.get_num_threads()} threads; seconds a step, the least of each way")
    small = Setup(model="5 layers of 320", batch=3, seq=192, lr=1e-3, device="cpu")
    real = Setup(model=BUNDLED, batch=1, seq=128, lr=1e-3, device="cpu")
    differ = [compare(small, SMALL, options.rounds), compare(real, None, options.rounds)]
    return int(any(differ))


def compare(setup: Setup, config: LlamaConfig | None, rounds: int) -> bool:
    """Print how the two ways compare on one model; return whether their losses differ by more than 1 %."""
    source = find(setup, config)
    text = (data.load("docstrings"), *source.tokenizer())
    batches = data.training_batches(*text, batch=setup.batch, seq=setup.seq, n=rounds + 1, seed=0)
    ways = {"by PyTorch": nullcontext, "through fp32": bf16_kernels.through_fp32}
    trainers = {}
    for way, kernels in ways.items():
        lab = Lab(setup, 0, source, torch.device("cpu"))
        with kernels():
            trainers[way] = Trainer(lab, *demo("lora").build(lab))
            trainers[way].step(batches[0])
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    losses: dict[str, list[float]] = {way: [] for way in ways}
    for batch in batches[1:]:
        for way, kernels in ways.items():
            with kernels():
                begin = time.perf_counter()
                losses[way].append(trainers[way].step(batch).item())
                seconds[way].append(time.perf_counter() - begin)
    old, new = seconds.values()
    ratio = statistics.median(a / b for a, b in zip(old, new, strict=True))
    apart = max(abs(a / b - 1) for a, b in zip(*losses.values(), strict=True))
    print(
        f"{source.label:22} {setup.batch} × {setup.seq:4} {min(old):8.2f} s by PyTorch, {min(new):6.2f} s through fp32, "
        f"{ratio:5.1f} : 1; losses {apart:.1e} apart at most (aim < {LOSS_TOLERANCE})",
        flush=True,
    )
    return apart > LOSS_TOLERANCE


def demo(name: str):
    spec = importlib.util.spec_from_file_location(f"demo_{name}", DEMOS / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # what PEFT says of transformers is theirs to settle
    sys.exit(main())
