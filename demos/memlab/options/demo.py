"""A demo: what a script says of its technique, as one object. It imports no torch.

A script defines it and hands it to `launch.main`; programs get it by `load` without running anything:

    DEMO = Demo("lora", build, lr=1e-3, adapters=True)

    if __name__ == "__main__":
        launch.main(DEMO, __doc__)
"""

from __future__ import annotations

import runpy
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from memlab.options.setup import SHARDING, Setup, UsageError, fixed
from memlab.results.files import HOME
from memlab.results.record import TECHNIQUE_NAME
from memlab.results.techniques import TECHNIQUES

if TYPE_CHECKING:
    import torch

    from memlab.measuring.lab import Lab

    Batch = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Demo:
    """A technique and how a training step with it is measured or predicted.

    A `batch` or `step` of its own replaces the text and the training step that all demos share; such a run
    has no held-out loss, since only the script knows what its loss means. Raises ValueError for a technique
    that cannot name a record.
    """

    technique: str
    """The name of its records: small letters, digits, `_` and `-`."""
    build: Callable[[Lab], tuple[torch.nn.Module, torch.optim.Optimizer]]
    """Returns the model, on `lab.device`, and the optimizer."""
    lr: float
    """The default learning rate."""
    adapters: bool = False
    """Whether it has the options `--rank` and `--alpha`."""
    own: Sequence[str] = ()
    """Those of `OWN_OPTIONS` that it has."""
    lr_of: Mapping[str, float] | None = None
    """The default learning rates of single steps of a stack."""
    needs: Sequence[str] = ()
    """Packages without which it cannot run, beyond those that every demo needs."""
    sharded: bool = False
    """Whether it runs on several ranks and has a ZeRO stage."""
    step: Callable[[Lab, torch.nn.Module, torch.optim.Optimizer, Batch], torch.Tensor] | None = None
    """Trains on one batch and returns its loss, a scalar; it clears the gradients itself."""
    batch: Callable[[Lab], Batch] | None = None
    """Returns the next batch, tensors on `lab.device`."""

    def __post_init__(self) -> None:
        if not TECHNIQUE_NAME.fullmatch(self.technique):
            raise ValueError(
                f"Demo({self.technique!r}): names its records; begin with a small letter, then at most 39 "
                "small letters, digits, _ and -"
            )

    def fit(self, setup: Setup) -> Setup:
        """Return the setup as this demo's command line would read it: without the options that it lacks."""
        setup = replace(setup, **fixed(adapters=self.adapters, own=self.own))
        if self.sharded:
            stage = SHARDING["stage"] if setup.stage is None else setup.stage
            setup = replace(setup, stage=stage, ranks=setup.ranks or SHARDING["ranks"])
        else:
            setup = replace(setup, stage=None, ranks=None, offload=False)
        return replace(setup, lr=setup.lr or self.default_lr(setup))

    def default_lr(self, setup: Setup) -> float:
        """Return the learning rate that a setup without one gets."""
        return (self.lr_of or {}).get(setup.step or "", self.lr)

    def command(self, setup: Setup) -> str:
        """Return the command line that runs this demo of the project once, as `setup` says."""
        # A step brings its precision along, and its script has no such option.
        leave_out = ("json", "out", "precision") if "step" in self.own else ("json", "out")
        return shlex.join(["python", f"demos/{self.technique}.py", *setup.arguments(leave_out=leave_out)])


@cache
def load(technique: str) -> Demo:
    """Return the demo of a script of the project, without running it. Raises UsageError for no technique."""
    if technique not in TECHNIQUES:
        raise UsageError(f"technique {technique!r}: there are {', '.join(TECHNIQUES)}")
    demo: Demo = runpy.run_path(str(HOME / f"{technique}.py"))["DEMO"]
    return demo
