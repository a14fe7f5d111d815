"""How long a prediction takes, and how much memory.

    python tests/bench/predict.py [SHAPE ...]

A step of 1 × 2048 tokens, for CUDA, under each technique of the planner's grid, in a process of its own. Counted are
`memlab.predicting.predict.predict` and what it loads by itself, bitsandbytes and PEFT; torch and transformers are there before.
Aim: Llama-3.1-8B in 5 s and GPT-3 in 20 s under any technique, and under 2 GB of resident memory.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "demos"))

from memlab.plan.grid import TECHNIQUE_SETUPS
from memlab.predicting.predict import predict

AIM_SECONDS = {"llama-3.1-8b": 5, "gpt-3-175b": 20}
AIM_BYTES = 2_000_000_000


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--arm"]:
        _one(arguments[1], int(arguments[2]))
        return 0
    for shape in arguments or AIM_SECONDS:
        found = [_in_a_process(shape, arm) for arm in range(len(TECHNIQUE_SETUPS))]
        seconds, words = max((float(line.split(" ", 2)[0]), line.split(" ", 2)[2]) for line in found)
        most = max(int(line.split(" ", 2)[1]) for line in found)
        aim = f", aim < {AIM_SECONDS[shape]} s" if shape in AIM_SECONDS else ""
        print(
            f"{shape:18} {seconds:5.2f} s at most ({words}{aim}), "
            f"{min(float(line.split()[0]) for line in found):.2f} s at least, of {len(found)}; "
            f"{most / 1e6:.0f} MB resident at most (aim < {AIM_BYTES / 1e6:.0f} MB)"
        )
    return 0


def _in_a_process(shape: str, arm: int) -> str:
    command = [sys.executable, __file__, "--arm", shape, str(arm)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _one(shape: str, arm: int) -> None:
    """Print the seconds, the bytes and the technique of one prediction."""
    technique, setup = TECHNIQUE_SETUPS[arm]
    begin = time.perf_counter()
    result = predict(technique, None, replace(setup, model=shape, batch=1, seq=2048, for_="cuda"))
    seconds = time.perf_counter() - begin
    if result.status != "ok":
        raise SystemExit(result.message)
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(f"{seconds:.3f} {resident} {technique} {setup.step or setup.precision}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
