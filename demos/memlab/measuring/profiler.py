"""The peak of a training step on a CPU by torch's own profiler: a count that is independent of the ledger."""

from __future__ import annotations

import gc
from collections.abc import Callable

from torch.profiler import ProfilerActivity, profile, record_function

from memlab.measuring.run import Run
from memlab.measuring.trainer import OnProgress, Trainer
from memlab.training import data

_STEP = "memlab: the step that counts"


def _no_preparation() -> None:
    pass


def profiled_peak(step: Callable[[], object], prepare: Callable[[], object] = _no_preparation) -> int:
    """Return the peak, in bytes, of the running sum of allocation events during `step`.

    Allocations of `prepare`, which runs first under the profiler, are in the sum; what was there before is
    not. The CPU's allocator reports each event itself, without a dispatch mode, and so also the memory that a
    kernel allocates and frees inside one operator.
    """
    gc.collect()  # garbage from before must not be freed under the profiler, as negative events
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        prepare()
        with record_function(_STEP):
            step()
    events = profiler.profiler.kineto_results.events()
    step_start = next(event.start_ns() for event in events if event.name() == _STEP)
    total = highest = 0
    for event in sorted((e for e in events if e.name() == "[memory]"), key=lambda e: e.start_ns()):
        total += event.nbytes()
        highest = max(highest, total) if event.start_ns() >= step_start else total
    return highest


class ProfiledRun(Run):
    """One technique measured twice on a CPU, by the profiler and by the ledger; no time and no losses."""

    profiler_bytes: int | None = None
    """The peak of a training step by the profiler, in bytes, model and optimizer included."""

    def _go(self, on_progress: OnProgress) -> None:
        setup = self.lab.setup
        trainer: Trainer
        batch: data.Batch

        def prepare() -> None:
            nonlocal trainer, batch
            self.model, self.optimizer = self.demo.build(self.lab)
            trainer = self.trainer_type(self.lab, self.model, self.optimizer)
            text = (self.text, self.tokenize, self.end)
            (batch,) = data.training_batches(*text, batch=setup.batch, seq=setup.seq, n=1, seed=self.lab.seed)
            trainer.step(batch)  # allocates the optimizer's states
            gc.collect()

        self.profiler_bytes = profiled_peak(lambda: trainer.step(batch), prepare)
        self.doing = "keeping the ledger"
        self.ledger = trainer.ledger_step(batch)
        self.static = self.ledger.alive().total
