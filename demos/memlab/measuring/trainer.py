"""The training step, the same for every technique and every pass over it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from memlab.measuring import hardware
from memlab.measuring.lab import Lab
from memlab.measuring.ledger import Ledger, Phase
from memlab.training import data


def no_phase(name: Phase) -> AbstractContextManager[None]:
    """Do nothing: a step that no ledger watches has no phases to name."""
    return nullcontext()


OnProgress = Callable[[str, int, int], None]
"""Called with the stage (a key of `results.stages.STAGES`), how much of it is done, and of how much."""


@dataclass(frozen=True)
class Trainer:
    """The plain training step, the same for every technique and every pass."""

    lab: Lab
    model: torch.nn.Module
    optimizer: torch.optim.Optimizer

    def step(
        self, batch: data.Batch, phase: Callable[[Phase], AbstractContextManager[None]] = no_phase
    ) -> torch.Tensor:
        """Train on one batch and return its loss, a scalar on the device."""
        with phase("forward"), self.lab.autocast():
            loss = self.model(**batch).loss
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
