"""Which runs a command line asks for: the technique, and full fine-tuning beside it. It imports no torch."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from memlab.options.demo import Demo
from memlab.options.setup import ADAPTER_OPTIONS, OWN_OPTIONS, Setup
from memlab.results.files import HOME
from memlab.results.record import STEPS, Record
from memlab.results.techniques import BASELINE
from memlab.running.process import Job, PlannedRun


def plan(demo: Demo, script: Path, setup: Setup, theirs: Record | None = None) -> list[PlannedRun]:
    """List the runs: for each seed the baseline, then the technique, so that a drift hits both alike.

    A demo with `steps` runs each of them that is asked for, beside the baseline in both precisions. With a
    record of `theirs` to repeat, only the technique is run, with its seed.
    """
    steps = "step" in demo.own
    usual = ("lr",) if setup.lr == demo.default_lr(setup) else ()
    if steps:
        usual = (*usual, "precision")
    if theirs is not None:
        return [_run(demo, script, setup, theirs.setup.seed, leave_out=("like", *usual))]
    precisions: tuple[Literal["mixed", "bf16"], ...] = ("mixed", "bf16") if steps else (setup.precision,)
    runs = []
    for seed in range(setup.seeds):
        if setup.stage is not None:
            # Under ZeRO the baseline is stage 0: as many ranks and the same engine, and nothing is sharded.
            if setup.stage > 0:
                runs.append(_run(demo, script, replace(setup, stage=0, offload=False), seed, leave_out=usual))
        elif demo.technique != BASELINE:
            # The baseline has no adapters, and a learning rate of its own.
            foreign = (*ADAPTER_OPTIONS, *OWN_OPTIONS, "lr")
            runs += [_baseline(replace(setup, precision=p), seed, leave_out=foreign) for p in precisions]
        for step in STEPS if steps and setup.step is None else (setup.step,):
            runs.append(_run(demo, script, replace(setup, step=step), seed, leave_out=usual))
    return runs


def _baseline(setup: Setup, seed: int, leave_out: Sequence[str]) -> PlannedRun:
    return _start(BASELINE, HOME / f"{BASELINE}.py", setup, seed, leave_out)


def _run(demo: Demo, script: Path, setup: Setup, seed: int, leave_out: Sequence[str]) -> PlannedRun:
    name = demo.technique
    if setup.step is not None and "step" not in leave_out:
        name += f" {setup.step}"
    if setup.stage is not None:
        name += f" stage {setup.stage}"
    return _start(name, script, setup, seed, leave_out)


def _start(name: str, script: Path, setup: Setup, seed: int, leave_out: Sequence[str]) -> PlannedRun:
    shown = setup.arguments(leave_out=("json", "out", "publish", *leave_out))
    # A record is for other machines too: a script elsewhere is named without its folder.
    path = f"demos/{script.name}" if script.parent == HOME else script.name
    return PlannedRun(
        script,
        name,
        setup.arguments(leave_out=("json", *leave_out)),
        Job(seed, shlex.join(["python", path, *shown])),
        work=_work(setup),
    )


def _work(setup: Setup) -> dict[str, float]:
    """Return the work of each stage; a training step takes about three times a forward pass."""
    if setup.predict:
        return {}
    tokens, steps = setup.batch * setup.seq, setup.warmup + setup.steps
    held_out = setup.held_out_rows * setup.seq
    ranks = setup.ranks or 1
    return {"evaluate": held_out * ranks, "train": 3 * steps * tokens * ranks, "ledger": 3 * tokens * ranks}
