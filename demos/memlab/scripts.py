"""The demo scripts as objects, for a program that asks many things of them in one process."""

from __future__ import annotations

import runpy
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

from memlab import launch
from memlab.setup import SHARDING, Setup, UsageError, fixed

if TYPE_CHECKING:
    from memlab.measure import Build

HOME = Path(__file__).parents[1]
TECHNIQUES = ("baseline", "gradient_checkpointing", "lora", "qlora", "pissa", "dora", "stack", "zero")


@dataclass(frozen=True)
class Demo:
    """What a script hands to `launch.main`; see there."""

    technique: str
    about: str
    build: Build
    lr: float
    adapters: bool = False
    own: Sequence[str] = ()
    lr_of: Mapping[str, float] | None = None
    needs: Sequence[str] = ()
    sharded: bool = False

    def fit(self, setup: Setup) -> Setup:
        """Return the setup as this demo's command line would read it: without the options that it lacks."""
        setup = replace(setup, **fixed(adapters=self.adapters, own=self.own))
        if self.sharded:
            stage = SHARDING["stage"] if setup.stage is None else setup.stage
            setup = replace(setup, stage=stage, ranks=setup.ranks or SHARDING["ranks"])
        else:
            setup = replace(setup, stage=None, ranks=None, offload=False)
        return replace(setup, lr=setup.lr or (self.lr_of or {}).get(setup.step or "", self.lr))

    def command(self, setup: Setup) -> str:
        """Return the command line that runs this demo once, as `setup` says."""
        # A step brings its precision along, and its script has no such option.
        leave_out = ("json", "out", "precision") if "step" in self.own else ("json", "out")
        return shlex.join(["python", f"demos/{self.technique}.py", *setup.arguments(leave_out=leave_out)])


@cache
def demo(technique: str) -> Demo:
    """Load a script without running it. Raises UsageError for a technique that has none."""
    if technique not in TECHNIQUES:
        raise UsageError(f"technique {technique!r}: there are {', '.join(TECHNIQUES)}")
    found: list[Demo] = []
    with patch.object(launch, "main", lambda *given, **named: found.append(Demo(*given, **named))):
        runpy.run_path(str(HOME / f"{technique}.py"), run_name="__main__")
    return found[0]
