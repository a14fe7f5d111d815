"""One technique predicted: the demo's own build and step under the ledger, on tensors without memory."""

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

_NEEDS_NUMBERS = (
    DataDependentOutputException,
    DynamicOutputShapeException,
    UnsupportedFakeTensorException,
    UnsupportedOperatorException,
)


class _CudaTrainer(Trainer):
    """The plain training step, logged as a CUDA device's."""

    def new_ledger(self) -> Ledger:
        """Return a ledger that watches the model and the optimizer."""
        ledger = cuda_step.CudaLedger(self.lab.device.type)
        ledger.watch(self.model, self.optimizer, self.lab.is_base)
        return ledger


class PredictedRun(Run):
    """One technique predicted. Only the text is read, for its hash: no weights, no tokenizer, no GPU."""

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
        return []  # a step that does not run has no seconds

    def _go(self, on_progress: OnProgress) -> None:
        self.doing = "predicting"
        on_progress("predict", 0, 1)
        with self.lab:
            self._predict()

    def _ended_by(self, error: Exception) -> record.Record:
        if isinstance(error, fake_tensors.UnseenKernelError):
            return self.to_record("failed", f"cannot be predicted: {error}")
        if not isinstance(error, _NEEDS_NUMBERS):
            return super()._ended_by(error)
        # torch names the operator that asked, or says it in its first line.
        operator = str(getattr(error, "func", None) or error).strip().partition("\n")[0][:200]
        return self.to_record(
            "failed", f"cannot be predicted: it computes by its numbers, and has none ({operator})"
        )

    def _predict(self) -> None:
        lab = self.lab
        if self.model is None or self.optimizer is None:
            self.model, self.optimizer = self.demo.build(lab)
            if lab.on_gpu:
                cuda_step.choose_again(self.model)
        trainer_type = _CudaTrainer if lab.on_gpu else self.trainer_type
        trainer = trainer_type(lab, self.model, self.optimizer, self.demo.step)
        with cuda_step.CudaAutocast() if lab.on_gpu else nullcontext():
            if not self.optimizer.state:
                _bring_optimizer_state(trainer)
            own_batch = self.demo.batch
            batch = batch_of(lab.setup) if own_batch is None else dict(own_batch(lab))
            self.ledger = trainer.ledger_step(batch)
        self.static = self.ledger.alive().total
        if lab.on_gpu:
            self._allocate(self.ledger)

    def _allocate(self, ledger: Ledger) -> None:
        """Ask the model of CUDA's allocator for what the ledger has logged."""
        assert self.optimizer is not None
        paged = cuda_step.paged_entries(ledger, self.optimizer)
        log = ledger.log()
        states = [(key, nbytes) for key, nbytes in log.before if key.kind == "optimizer" and key not in paged]
        others = [(key, nbytes) for key, nbytes in log.before if key.kind != "optimizer"]
        done = cuda_allocator.run(replace(log, before=others), states=states)
        self.paged = sum(entry.nbytes for entry in paged)
        self.allocator = {
            "peak": done.max_allocated + self.paged,
            "reserved": done.max_reserved,
        }


def _bring_optimizer_state(trainer: Trainer) -> None:
    """Let the optimizer make its states, as it does in the first of all steps, whatever the gradients."""
    for parameter in trainer.model.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.empty_like(parameter)
    trainer.optimizer.step()
    trainer.optimizer.zero_grad(set_to_none=True)


def batch_of(setup: Setup) -> data.Batch:
    """Return a batch; what its tokens are does not matter."""
    shape = (setup.batch, setup.seq)
    return {name: torch.zeros(shape, dtype=torch.int64) for name in ("input_ids", "labels")}
