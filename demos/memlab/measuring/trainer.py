"""The training step, the same for every technique and every pass over it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from memlab.measuring import hardware
from memlab.measuring.lab import Lab
from memlab.measuring.ledger import Ledger
from memlab.measuring.log import Phase
from memlab.training import data
from memlab.training.patching import replaced


def no_phase(name: Phase) -> AbstractContextManager[None]:
    """Do nothing: a step that no ledger watches has no phases to name."""
    return nullcontext()


OnProgress = Callable[[str, int, int], None]
"""Called with the stage (a key of `results.stages.STAGES`), how much of it is done, and of how much."""


OwnStep = Callable[[Lab, torch.nn.Module, torch.optim.Optimizer, data.Batch], torch.Tensor]


@contextmanager
def phases_of_own_step(
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    phase: Callable[[Phase], AbstractContextManager[None]],
) -> Iterator[None]:
    """Name the phases of a step that is a script's own, by what it calls.

    A phase lasts from a call of the model, of `backward` or of the optimizer's step to the next call of
    another; gradients may be accumulated over several. What comes first belongs to the forward pass.
    """
    current: list[tuple[Phase, AbstractContextManager[None]]] = []

    def enter(name: Phase) -> None:
        if not current or current[0][0] != name:
            leave()
            context = phase(name)
            current.append((name, context))
            context.__enter__()

    def leave() -> None:
        if current:
            current.pop()[1].__exit__(None, None, None)

    backward = torch.autograd.backward

    def named_backward(*arguments: Any, **named: Any) -> None:
        enter("backward")
        backward(*arguments, **named)

    hooks = (
        model.register_forward_pre_hook(lambda *_: enter("forward")),
        optimizer.register_step_pre_hook(lambda *_: enter("optimizer")),
    )
    enter("forward")
    try:
        # `Tensor.backward` looks it up there as well.
        with replaced(torch.autograd, "backward", named_backward):
            yield
    finally:
        leave()
        for hook in hooks:
            hook.remove()


@dataclass(frozen=True)
class Trainer:
    """The plain training step, the same for every technique and every pass."""

    lab: Lab
    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    own_step: OwnStep | None = None
    """The demo's own step in place of the plain one."""

    def step(
        self, batch: data.Batch, phase: Callable[[Phase], AbstractContextManager[None]] = no_phase
    ) -> torch.Tensor:
        """Train on one batch and return its loss, a scalar on the device."""
        if self.own_step is not None:
            with phases_of_own_step(self.model, self.optimizer, phase):
                return self.own_step(self.lab, self.model, self.optimizer, batch).detach()
        with phase("forward"), self.lab.autocast():
            loss: torch.Tensor = self.model(**batch).loss
        with phase("backward"):
            loss.backward()
        with phase("optimizer"):
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    def timed_step(self, batch: data.Batch) -> tuple[float, float]:
        """Train on one batch; return its loss and the seconds it took, the device's work included."""
        start = time.perf_counter()
        loss = self.step(batch).item()  # reading the loss waits for the device ...
        hardware.synchronize(self.lab.device)  # ... but not for the optimizer behind it
        return loss, time.perf_counter() - start

    def evaluate(self, batches: Sequence[data.Batch], on_progress: OnProgress) -> float:
        """Return the mean loss per predicted token, in nats."""
        total = tokens = 0.0
        self.model.eval()
        with torch.no_grad(), self.lab.autocast():
            for index, batch in enumerate(batches):
                on_progress("evaluate", index, len(batches))
                predicted = int((batch["labels"][:, 1:] != data.IGNORED).sum())
                total += self.model(**batch).loss.item() * predicted
                tokens += predicted
        self.model.train()
        return total / tokens

    def paged_bytes(self) -> int:
        """Return the bytes of optimizer state in managed memory, which is not the allocator's."""
        values = [value for state in self.optimizer.state.values() for value in state.values()]
        return sum(value.nbytes for value in values if getattr(value, "is_paged", False))

    def new_ledger(self) -> Ledger:
        """Return a ledger that watches the model and the optimizer."""
        ledger = Ledger(self.lab.device.type)
        ledger.watch(self.model, self.optimizer, self.lab.is_base)
        return ledger

    def ledger_step(self, batch: data.Batch) -> Ledger:
        """Train on one batch under the ledger."""
        ledger = self.new_ledger()
        ledger.claim("other", batch.values())
        if self.lab.device.type == "cuda":
            ledger.add("other", max(0, torch.cuda.memory_allocated() - ledger.alive().total))
        ledger.add("optimizer", self.paged_bytes())
        with ledger:
            self.step(batch, ledger.phase)
        return ledger
