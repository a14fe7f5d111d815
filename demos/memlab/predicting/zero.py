"""Predict ZeRO rank by rank: DeepSpeed itself, on tensors without memory, in a process group of one.

torch's `fake` process group has as many ranks as it is told and sends nothing; DeepSpeed shards, gathers and
reduces as it would among real ones, and the ledger counts what a rank holds meanwhile. One thing is known
beforehand: in the optimizer's step DeepSpeed asks whether a gradient has overflowed, and it has not.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
import torch.distributed
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import PretrainedConfig

from memlab.measuring.ledger import Phase
from memlab.measuring.trainer import no_phase
from memlab.measuring.zero import ShardedLab, ShardedRun, ShardedTrainer
from memlab.options.demo import Demo
from memlab.options.setup import Setup
from memlab.predicting.lab import PredictedLab
from memlab.predicting.run import PredictedRun, batch_of
from memlab.results import record
from memlab.results.ranks import of_all
from memlab.training import data
from memlab.training.patching import environment, replaced

_ITEM = torch.ops.aten._local_scalar_dense.default


def predict_ranks(
    demo: Demo,
    setup: Setup,
    *,
    seed: int,
    command: str,
    config: PretrainedConfig | None,
) -> list[record.Record]:
    """Return the record of all ranks, and those of the ranks that it is drawn from.

    Ranks differ by padding and by where a tensor is cut. Of more than four, the first two, the one in the
    middle and the last are predicted. Raises UsageError.
    """
    assert setup.ranks is not None
    found = []
    for index in sorted({0, 1, setup.ranks // 2, setup.ranks - 1} & set(range(setup.ranks))):
        with _rank(index, setup.ranks):
            run = _RankRun(demo, setup, seed=seed, command=command, config=config)
            found.append(run.measure(lambda stage, done, of: None))
    bad = [one for one in found if one.status != "ok"]
    return [of_all(bad or found), *([] if bad else found)]


@contextmanager
def _rank(index: int, count: int) -> Iterator[None]:
    """Be one of `count` ranks, and leave DeepSpeed as if there had been none."""
    os.environ["DS_ACCELERATOR"] = "cpu"  # read once, when DeepSpeed is imported
    from deepspeed.comm import comm
    from deepspeed.runtime.zero import partitioned_param_coordinator
    from deepspeed.utils import groups
    from torch.testing._internal.distributed.fake_pg import FakeStore

    before = [(module, dict(vars(module))) for module in (comm, groups)]
    torch.distributed.init_process_group("fake", rank=index, world_size=count, store=FakeStore())
    try:
        names = {"RANK": str(index), "WORLD_SIZE": str(count), "LOCAL_RANK": "0"}
        # Ranks assure themselves that all do the same: they would need each other's numbers for that.
        agree = replaced(partitioned_param_coordinator, "assert_ints_same_as_other_ranks", lambda ints: None)
        with environment(**names), agree:
            yield
    finally:
        torch.distributed.destroy_process_group()
        for module, held in before:
            vars(module).update(held)


class _NoOverflow(TorchDispatchMode):
    """Answers no, or nought, whenever a number is asked for."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is _ITEM:
            return 0.0 if args[0].is_floating_point() else False
        return func(*args, **(kwargs or {}))


class _RankLab(PredictedLab, ShardedLab):
    """What `build(lab)` works with in one rank, on fake tensors."""


class _RankTrainer(ShardedTrainer):
    """DeepSpeed's training step, in which no gradient overflows."""

    def step(
        self, batch: data.Batch, phase: Callable[[Phase], AbstractContextManager[None]] = no_phase
    ) -> torch.Tensor:
        """Train on one batch and return a loss without a value."""

        @contextmanager
        def answering(name: Phase) -> Iterator[None]:
            with phase(name):
                if name == "optimizer":
                    with _NoOverflow():
                        yield
                else:
                    yield

        return super().step(batch, answering)


class _RankRun(PredictedRun, ShardedRun):
    """One rank predicted."""

    lab_type = _RankLab
    trainer_type = _RankTrainer

    def _predict(self) -> None:
        self.model, self.optimizer = self.demo.build(self.lab)
        trainer = self.trainer_type(self.lab, self.model, self.optimizer)
        batch = batch_of(self.lab.setup)
        # The first step brings the optimizer's states; stage 3 follows its own trace from the second.
        for _ in range(2):
            trainer.step(batch)
        self.ledger = trainer.ledger_step(batch)
        self.static = self.ledger.alive().total
