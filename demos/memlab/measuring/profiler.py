"""What torch's own profiler says of a step's memory on a CPU: a count that owes nothing to the ledger."""

from __future__ import annotations

import gc
from collections.abc import Callable

from torch.profiler import ProfilerActivity, profile, record_function

from memlab.measuring.run import Run
from memlab.measuring.trainer import OnProgress, Trainer
from memlab.training import data

_STEP = "memlab: the step that counts"


def _nothing() -> None:
    pass


def profiled_peak(step: Callable[[], object], prepare: Callable[[], object] = _nothing) -> int:
    """Return the highest sum of torch's allocation events during `step`, with those of `prepare` before it.

    What was there before either is not counted. The CPU's allocator reports each event itself, without a
    dispatch mode, and so also the memory that a kernel takes and gives back inside one operator.
    """
    gc.collect()  # what an earlier profile saw being made must not be seen dying in this one
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        prepare()
        with record_function(_STEP):
            step()
    events = profiler.profiler.kineto_results.events()
    begun = next(event.start_ns() for event in events if event.name() == _STEP)
    total = highest = 0
    for event in sorted((e for e in events if e.name() == "[memory]"), key=lambda e: e.start_ns()):
        total += event.nbytes()
        highest = max(highest, total) if event.start_ns() >= begun else total
    return highest


class ProfiledRun(Run):
    """One technique weighed twice on a CPU, by the profiler and by the ledger; no time and no losses."""

    profiler_bytes: int | None = None
    """The peak of a training step by the profiler, with all that was there before."""

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
            trainer.step(batch)  # brings the optimizer's states
            gc.collect()

        self.profiler_bytes = profiled_peak(lambda: trainer.step(batch), prepare)
        self.doing = "keeping the ledger"
        self.ledger = trainer.ledger_step(batch)
        self.static = self.ledger.alive().total
