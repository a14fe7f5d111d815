"""Predict a training step: the demos' own build and step, on tensors without memory, under the ledger.

Nothing is extrapolated and nothing is fitted: the same code that is measured runs operator by operator, and
the ledger counts what it would have allocated. So a prediction for a CPU is what the ledger measures there,
to the byte, for whatever runs at all. A model whose computation depends on the numbers cannot be run without
them, and its record says so.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import replace
from typing import Any, Literal
from unittest.mock import patch

import torch
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
    UnsupportedFakeTensorException,
    UnsupportedOperatorException,
)
from transformers import BitsAndBytesConfig, PretrainedConfig

# bitsandbytes, when it is imported, loads torch's compiler, which takes a second and compiles nothing here,
# and tells of kernels that it would rather have.
with suppress(ImportError), patch.dict(os.environ, TORCHDYNAMO_DISABLE="1"):
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    import bitsandbytes  # noqa: F401

from memlab import allocator, data, fake, offload, on_cuda, record, scripts
from memlab.ledger import Ledger
from memlab.measure import Build, Lab, Run, Tell, Trainer
from memlab.model import Source, find
from memlab.setup import Setup

_NEEDS_NUMBERS = (
    DataDependentOutputException,
    DynamicOutputShapeException,
    UnsupportedFakeTensorException,
    UnsupportedOperatorException,
)


class PredictedLab(Lab):
    """What `build(lab)` works with on fake tensors; random weights stand for any."""

    def __init__(self, setup: Setup, seed: int, source: Source, device: torch.device) -> None:
        super().__init__(setup, seed, replace(source, weights=None), device)
        self._open = ExitStack()
        self._mode: FakeTensorMode | None = None

    def __enter__(self) -> PredictedLab:
        self._mode = self._open.enter_context(fake.tensors())
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def load_model(
        self, dtype: Literal["float32", "bfloat16"], quantization_config: BitsAndBytesConfig | None = None
    ) -> torch.nn.Module:
        """Return the base model with weights of type `dtype`, or four bits, as `Lab.load_model` does."""
        if quantization_config is not None:
            self._admit_bitsandbytes()
        return super().load_model(dtype, quantization_config)

    def optimizer_8bit(self, model: torch.nn.Module) -> torch.optim.Optimizer:
        """Return bitsandbytes' AdamW with moments of one byte."""
        self._admit_bitsandbytes()
        optimizer: Any = super().optimizer_8bit(model)
        optimizer._cpu_paged_warned = True  # it would say that a CPU has no pages: true, and not asked
        return optimizer

    def offload_activations(self, model: torch.nn.Module) -> torch.nn.Module:
        """Return the model with activations that wait elsewhere, as `Lab.offload_activations` does."""
        if not self.on_gpu:
            return super().offload_activations(model)
        self.offloads = True
        return offload.OffloadedActivations(model, predicted=True)

    @property
    def on_gpu(self) -> bool:
        """Whether the step is predicted for a GPU."""
        return self.setup.for_ == "cuda"

    def _admit_bitsandbytes(self) -> None:
        assert self._mode is not None
        self._open.enter_context(fake.bitsandbytes(self._mode))


def predict(technique: str, config: PretrainedConfig | None, setup: Setup) -> record.Record:
    """Predict one training step of `technique` on a model of this shape; `setup.model` names it.

    Without a `config`, `setup.model` is looked up as `--model` is. Options that the technique lacks are left
    out, and those that have defaults of their own take them. The record's status is `failed`, with a message
    that says why, where the model cannot be run without its numbers. Raises UsageError.
    """
    demo = scripts.demo(technique)
    setup = replace(demo.fit(setup), predict=True)
    command = demo.command(setup)
    return predict_all(technique, setup, build=demo.build, seed=0, command=command, config=config)[0]


def predict_steps(technique: str, setups: Sequence[Setup]) -> list[record.Record]:
    """Predict steps that differ in batch and length alone, on one model that is built once.

    Returns what `predict` returns for each, but for lengths that the model cannot read. Raises UsageError.
    """
    with Steps(technique, setups) as steps:
        return [steps.predict(setup) for setup in setups if steps.reads(setup.seq)]


def predict_all(
    technique: str,
    setup: Setup,
    *,
    build: Build,
    seed: int,
    command: str,
    config: PretrainedConfig | None = None,
    tell: Tell = lambda stage, done, of: None,
) -> list[record.Record]:
    """Return the prediction and, where ranks share the work, after it those of single ranks."""
    if setup.ranks is not None:
        from memlab.predict_ranks import predict_ranks

        return predict_ranks(
            technique, setup, build=build, seed=seed, command=command, config=config, tell=tell
        )
    run = PredictedRun(technique, setup, seed=seed, command=command, config=config)
    return [run.measure(build, tell)]


class _CudaTrainer(Trainer):
    """The plain training step, logged as a CUDA device's."""

    def new_ledger(self) -> Ledger:
        """Return a ledger that watches the model and the optimizer."""
        ledger = on_cuda.CudaLedger(self.lab.device.type)
        ledger.watch(self.model, self.optimizer, self.lab.is_base)
        return ledger


class PredictedRun(Run):
    """One technique predicted. Only the text is read, for its hash: no weights, no tokenizer, no GPU."""

    mode = "predicted"
    lab_type = PredictedLab
    lab: PredictedLab

    def __init__(
        self,
        technique: str,
        setup: Setup,
        *,
        seed: int,
        command: str,
        config: PretrainedConfig | None = None,
    ) -> None:
        self._config = config
        super().__init__(technique, setup, seed=seed, command=command)

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

    def _go(self, build: Build, tell: Tell) -> None:
        self.doing = "predicting"
        tell("predict", 0, 1)
        with self.lab:
            self._predict(build)

    def _ended_by(self, error: Exception) -> record.Record:
        if isinstance(error, fake.UnseenKernelError):
            return self.to_record("failed", f"cannot be predicted: {error}")
        if not isinstance(error, _NEEDS_NUMBERS):
            return super()._ended_by(error)
        # torch names the operator that asked, or says it in its first line.
        operator = str(getattr(error, "func", None) or error).strip().partition("\n")[0][:200]
        return self.to_record(
            "failed", f"cannot be predicted: it computes by its numbers, and has none ({operator})"
        )

    def _predict(self, build: Build) -> None:
        lab = self.lab
        if self.model is None or self.optimizer is None:
            self.model, self.optimizer = build(lab)
            if lab.on_gpu:
                on_cuda.choose_again(self.model)
        trainer_type = _CudaTrainer if lab.on_gpu else self.trainer_type
        trainer = trainer_type(lab, self.model, self.optimizer)
        with on_cuda.CudaAutocast() if lab.on_gpu else nullcontext():
            if not self.optimizer.state:
                _bring_optimizer_state(trainer)
            self.ledger = trainer.ledger_step(batch_of(lab.setup))
        self.static = self.ledger.alive().total
        if lab.on_gpu:
            self._allocate(self.ledger)

    def _allocate(self, ledger: Ledger) -> None:
        """Ask the model of CUDA's allocator for what the ledger has logged."""
        assert self.optimizer is not None
        paged = on_cuda.paged_entries(ledger, self.optimizer)
        log = ledger.log()
        states = [(key, nbytes) for key, nbytes in log.before if key.kind == "optimizer" and key not in paged]
        others = [(key, nbytes) for key, nbytes in log.before if key.kind != "optimizer"]
        done = allocator.run(replace(log, before=others), states=states)
        self.paged = sum(entry.nbytes for entry in paged)
        self.allocator = {
            "peak": done.max_allocated + self.paged,
            "reserved": done.max_reserved,
        }


class Steps:
    """One technique on a model that is built once, for steps that differ in batch and length alone.

    A context: between entering and leaving it, all tensors are fake. Raises UsageError.
    """

    def __init__(self, technique: str, setups: Sequence[Setup]) -> None:
        self._demo = scripts.demo(technique)
        shortest = min(setups, key=lambda one: one.seq)
        self._run = _OpenRun(technique, self._fit(shortest), seed=0, command="")

    def __enter__(self) -> Steps:
        self._run.lab.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._run.lab.__exit__(*error)

    def reads(self, tokens: int) -> bool:
        """Whether the model reads so many tokens at once."""
        longest = self._run.source.longest
        return longest is None or tokens <= longest

    def predict(self, setup: Setup) -> record.Record:
        """Return the record of a step with the batch and the length of `setup`."""
        run = self._run
        run.lab.setup = self._fit(setup)
        run.command = self._demo.command(run.lab.setup)
        if run.optimizer is not None:
            run.optimizer.zero_grad(set_to_none=True)  # a step that failed leaves gradients
        run.ledger = run.static = None
        run.allocator = {}
        return run.measure(self._demo.build, lambda *_: None)

    @property
    def flops(self) -> int:
        """The floating-point operations of the last step; 0 if it failed, or was not predicted for CUDA."""
        ledger = self._run.ledger
        return ledger.flops if isinstance(ledger, on_cuda.CudaLedger) else 0

    def _fit(self, setup: Setup) -> Setup:
        return replace(self._demo.fit(setup), predict=True)


class _OpenRun(PredictedRun):
    """A run whose lab is open already, and stays so."""

    def _go(self, build: Build, tell: Tell) -> None:
        self.doing = "predicting"
        self._predict(build)


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
