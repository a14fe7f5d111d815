"""Predict one technique in this process: the demo's own build and step on fake tensors, under the ledger."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import torch
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    UnsupportedFakeTensorException,
    UnsupportedOperatorException,
)
from transformers import PretrainedConfig

from memlab.measuring.ledger import Ledger
from memlab.measuring.run import Run
from memlab.measuring.trainer import OnProgress, Trainer
from memlab.options.demo import Demo
from memlab.options.setup import Setup
from memlab.predicting import cuda_allocator, cuda_step, fake_tensors
from memlab.predicting.lab import PredictedLab
from memlab.results import record
from memlab.training import data
from memlab.training.model import Source, find

_VALUE_DEPENDENT = (
    DataDependentOutputException,
    DynamicOutputShapeException,
    UnsupportedFakeTensorException,
    UnsupportedOperatorException,
)


class _CudaTrainer(Trainer):
    """The training step, logged as a CUDA device's."""

    def new_ledger(self) -> Ledger:
        """Return a `CudaLedger` that watches the model and the optimizer."""
        ledger = cuda_step.CudaLedger(self.lab.device.type)
        ledger.watch(self.model, self.optimizer, self.lab.is_base)
        return ledger


class PredictedRun(Run):
    """One technique predicted. The text is read for its hash; weights, tokenizer and GPU are not used."""

    mode = "predicted"
    lab_type = PredictedLab
    lab: PredictedLab

    def __init__(
        self,
        demo: Demo,
        setup: Setup,
        *,
        seed: int,
        command: str,
        config: PretrainedConfig | None = None,
    ) -> None:
        self._config = config
        super().__init__(demo, setup, seed=seed, command=command)

    def _choose_device(self, setup: Setup) -> torch.device:
        return torch.device("cpu")

    def _find(self, setup: Setup) -> Source:
        return replace(find(setup, self._config), vocabulary=None)

    def _describe_device(self) -> record.Device:
        name = "fake tensors, for CUDA" if self.lab.on_gpu else "fake tensors on a CPU"
        return record.Device(kind="fake", name=name, memory_bytes=None)

    def _process_bytes(self) -> int | None:
        return None

    def _timeline(self) -> list[record.Instant]:
        return []  # a step on fake tensors has no meaningful seconds

    def _go(self, on_progress: OnProgress) -> None:
        self.doing = "predicting"
        on_progress("predict", 0, 1)
        with self.lab:
            self._predict()

    def _ended_by(self, error: Exception) -> record.Record:
        if isinstance(error, MemoryError):
            raise error  # of this machine, not of the one that is predicted
        if isinstance(error, fake_tensors.UnmodelledKernelError):
            return self.to_record("failed", f"cannot be predicted: {error}")
        if not isinstance(error, _VALUE_DEPENDENT):
            return super()._ended_by(error)
        # torch names the operator in `func`, or in the first line of the message.
        operator = str(getattr(error, "func", None) or error).strip().partition("\n")[0][:200]
        return self.to_record(
            "failed", f"cannot be predicted: it computes by its numbers, and has none ({operator})"
        )

    def _predict(self) -> None:
        lab = self.lab
        if self.model is None or self.optimizer is None:
            self.model, self.optimizer = self.demo.build(lab)
            if lab.on_gpu:
                cuda_step.patch_checkpoint_recompute(self.model)
        trainer_type = _CudaTrainer if lab.on_gpu else self.trainer_type
        trainer = trainer_type(lab, self.model, self.optimizer, self.demo.step)
        with cuda_step.CudaAutocast() if lab.on_gpu else nullcontext():
            if not self.optimizer.state:
                _allocate_optimizer_state(trainer)
            own_batch = self.demo.batch
            batch = placeholder_batch(lab.setup) if own_batch is None else dict(own_batch(lab))
            self.ledger = trainer.ledger_step(batch)
        self.static = self.ledger.alive().total
        if lab.on_gpu:
            self._replay_in_allocator(self.ledger)

    def _replay_in_allocator(self, ledger: Ledger) -> None:
        """Replay the ledger's log in the model of CUDA's allocator, and keep its peaks in bytes."""
        assert self.optimizer is not None
        paged = cuda_step.paged_entries(ledger, self.optimizer)
        log = ledger.log()
        states = [(key, nbytes) for key, nbytes in log.before if key.kind == "optimizer" and key not in paged]
        others = [(key, nbytes) for key, nbytes in log.before if key.kind != "optimizer"]
        allocator = cuda_allocator.run(replace(log, before=others), states=states)
        self.paged = sum(entry.nbytes for entry in paged)
        self.allocator = {
            "peak": allocator.max_allocated + self.paged,
            "reserved": allocator.max_reserved,
        }


def _allocate_optimizer_state(trainer: Trainer) -> None:
    """Make the optimizer allocate its states, as it does in its first step."""
    for parameter in trainer.model.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.empty_like(parameter)
    trainer.optimizer.step()
    trainer.optimizer.zero_grad(set_to_none=True)


def placeholder_batch(setup: Setup) -> data.Batch:
    """Return a batch × seq batch of zeros: on fake tensors its values do not matter."""
    shape = (setup.batch, setup.seq)
    return {name: torch.zeros(shape, dtype=torch.int64) for name in ("input_ids", "labels")}
