"""Predict ZeRO rank by rank: DeepSpeed itself, on fake tensors, in torch's `fake` process group.

The group has any number of ranks in one process and sends nothing; DeepSpeed shards, gathers and reduces as
it would among real ones, and the ledger counts what the rank holds. One value is supplied: in the optimizer's
step DeepSpeed reads whether a gradient has overflowed, and the answer is no.
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

from memlab.measuring.log import Phase
from memlab.measuring.trainer import no_phase
from memlab.measuring.zero import ShardedLab, ShardedRun, ShardedTrainer
from memlab.options.demo import Demo
from memlab.options.setup import Setup
from memlab.predicting.lab import PredictedLab
from memlab.predicting.run import PredictedRun, placeholder_batch
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
    """Return the record of all ranks, then those of the ranks that it summarizes.

    Ranks differ by padding and by where a tensor is cut. Of more than four ranks, the first two, the one in
    the middle and the last are predicted. If ranks fail, only the summary is returned. Raises UsageError.
    """
    assert setup.ranks is not None
    records = []
    for index in sorted({0, 1, setup.ranks // 2, setup.ranks - 1} & set(range(setup.ranks))):
        with _rank(index, setup.ranks):
            run = _RankRun(demo, setup, seed=seed, command=command, config=config)
            records.append(run.measure(lambda stage, done, of: None))
    not_ok = [rank_record for rank_record in records if rank_record.status != "ok"]
    return [of_all(not_ok or records), *([] if not_ok else records)]


@contextmanager
def _rank(index: int, count: int) -> Iterator[None]:
    """Make this process rank `index` of `count`, and restore DeepSpeed's globals afterwards."""
    os.environ["DS_ACCELERATOR"] = "cpu"  # read once, when DeepSpeed is imported
    from deepspeed.comm import comm
    from deepspeed.runtime.zero import partitioned_param_coordinator
    from deepspeed.utils import groups
    from torch.testing._internal.distributed.fake_pg import FakeStore

    before = [(module, dict(vars(module))) for module in (comm, groups)]
    torch.distributed.init_process_group("fake", rank=index, world_size=count, store=FakeStore())
    try:
        names = {"RANK": str(index), "WORLD_SIZE": str(count), "LOCAL_RANK": "0"}
        # This check compares numbers of different ranks, which a fake group does not have.
        no_check = replaced(
            partitioned_param_coordinator, "assert_ints_same_as_other_ranks", lambda ints: None
        )
        with environment(**names), no_check:
            yield
    finally:
        torch.distributed.destroy_process_group()
        for module, attributes in before:
            vars(module).update(attributes)


class _NoOverflow(TorchDispatchMode):
    """Returns False or 0.0 wherever a tensor's value is read."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is _ITEM:
            return 0.0 if args[0].is_floating_point() else False
        return func(*args, **(kwargs or {}))


class _RankLab(PredictedLab, ShardedLab):
    """The lab of one rank, on fake tensors."""


class _RankTrainer(ShardedTrainer):
    """DeepSpeed's training step, in which no gradient overflows."""

    def step(
        self, batch: data.Batch, phase: Callable[[Phase], AbstractContextManager[None]] = no_phase
    ) -> torch.Tensor:
        """Train on one batch and return the loss, a fake tensor."""

        @contextmanager
        def phase_without_overflow(name: Phase) -> Iterator[None]:
            with phase(name):
                if name == "optimizer":
                    with _NoOverflow():  # type: ignore[no-untyped-call]
                        yield
                else:
                    yield

        return super().step(batch, phase_without_overflow)


class _RankRun(PredictedRun, ShardedRun):
    """One rank predicted."""

    lab_type = _RankLab
    trainer_type = _RankTrainer

    def _predict(self) -> None:
        self.model, self.optimizer = self.demo.build(self.lab)
        trainer = self.trainer_type(self.lab, self.model, self.optimizer)
        batch = placeholder_batch(self.lab.setup)
        # The first step allocates the optimizer's states; stage 3 prefetches by its trace from the second.
        for _ in range(2):
            trainer.step(batch)
        self.ledger = trainer.ledger_step(batch)
        self.static = self.ledger.alive().total
