"""Predict a training step: the demos' own build and step, on tensors without memory, under the ledger.

Nothing is extrapolated and nothing is fitted: the same code that is measured runs operator by operator, and
the ledger counts what it would have allocated. So a prediction for a CPU is what the ledger measures there,
to the byte, for whatever runs at all. A model whose computation depends on the numbers cannot be run without
them, and its record says so.
"""

from __future__ import annotations

import shlex
from contextlib import ExitStack
from dataclasses import replace
from typing import Literal

import torch
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
    UnsupportedFakeTensorException,
    UnsupportedOperatorException,
)
from transformers import BitsAndBytesConfig, PretrainedConfig

from memlab import data, fake, record, scripts
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
        return super().optimizer_8bit(model)

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
    command = shlex.join(["python", f"demos/{technique}.py", *setup.arguments(leave_out=("json", "out"))])
    return predict_all(technique, setup, build=demo.build, seed=0, command=command, config=config)[0]


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
        return record.Device(kind="fake", name="fake tensors on a CPU", memory_bytes=None)

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
        if not isinstance(error, _NEEDS_NUMBERS):
            return super()._ended_by(error)
        # torch names the operator that asked, or says it in its first line.
        operator = str(getattr(error, "func", None) or error).strip().partition("\n")[0][:200]
        return self.to_record(
            "failed", f"cannot be predicted: it computes by its numbers, and has none ({operator})"
        )

    def _predict(self, build: Build) -> None:
        lab, setup = self.lab, self.lab.setup
        self.model, self.optimizer = build(lab)
        trainer = self.trainer_type(lab, self.model, self.optimizer)
        _bring_optimizer_state(trainer)
        self.ledger = trainer.ledger_step(batch_of(setup))
        self.static = self.ledger.alive().total


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
