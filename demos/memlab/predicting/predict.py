"""Predict a training step: the demos' own build and step, on fake tensors, under the ledger.

Nothing is extrapolated and nothing is fitted: the code that is measured runs operator by operator, and the
ledger counts what it would have allocated. So a prediction for a CPU equals what the ledger measures there,
to the byte. A model whose computation depends on the values of tensors cannot be predicted, and its record
says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from transformers import PretrainedConfig

from memlab.measuring.trainer import OnProgress
from memlab.options.demo import Demo, load
from memlab.options.setup import Setup
from memlab.predicting import cuda_step
from memlab.predicting.run import PredictedRun
from memlab.results import record


def _ignore_progress(stage: str, done: int, of: int) -> None:
    pass


def predict(technique: str, config: PretrainedConfig | None, setup: Setup) -> record.Record:
    """Predict one training step of `technique` on the model of `config`, which `setup.model` names.

    Without a `config`, `setup.model` is resolved as `--model` is. Options that the technique lacks are
    dropped, and unset ones take the technique's defaults. The record's status is `failed`, with a message
    that says why, where the model's computation depends on the values of tensors. Raises UsageError.
    """
    demo = load(technique)
    setup = replace(demo.fit(setup), predict=True)
    return predict_all(demo, setup, seed=0, command=demo.command(setup), config=config)[0]


def predict_steps(technique: str, setups: Sequence[Setup]) -> list[record.Record]:
    """Predict steps that differ only in batch and length, on one model that is built once.

    Returns what `predict` returns for each setup, leaving out lengths beyond the model's. Raises UsageError.
    """
    with StepPredictor(technique, setups) as predictor:
        return [predictor.predict(setup) for setup in setups if predictor.accepts_length(setup.seq)]


def predict_all(
    demo: Demo, setup: Setup, *, seed: int, command: str, config: PretrainedConfig | None = None
) -> list[record.Record]:
    """Return the prediction and, under ZeRO, after it those of single ranks.

    Raises UsageError.
    """
    if setup.ranks is not None:
        from memlab.predicting.zero import predict_ranks

        return predict_ranks(demo, setup, seed=seed, command=command, config=config)
    run = PredictedRun(demo, setup, seed=seed, command=command, config=config)
    return [run.measure(_ignore_progress)]


class StepPredictor:
    """Predicts one technique's steps that differ only in batch and length, on a model that is built once.

    A context manager: between entering and leaving it, all tensors are fake. Raises UsageError.
    """

    def __init__(self, technique: str, setups: Sequence[Setup]) -> None:
        self._demo = load(technique)
        shortest = min(setups, key=lambda setup: setup.seq)
        self._run = _RunInOpenLab(self._demo, self._fit(shortest), seed=0, command="")

    def __enter__(self) -> StepPredictor:
        self._run.lab.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._run.lab.__exit__(*error)

    def accepts_length(self, tokens: int) -> bool:
        """Whether the model takes sequences of so many tokens."""
        max_length = self._run.source.max_length
        return max_length is None or tokens <= max_length

    def predict(self, setup: Setup) -> record.Record:
        """Return the record of a step with the batch and the length of `setup`."""
        run = self._run
        run.lab.setup = self._fit(setup)
        run.command = self._demo.command(run.lab.setup)
        if run.optimizer is not None:
            run.optimizer.zero_grad(set_to_none=True)  # a failed step leaves gradients
        run.ledger = run.static = None
        run.allocator = {}
        return run.measure(_ignore_progress)

    @property
    def flops(self) -> int:
        """The floating-point operations of the last step; 0 if it failed, or was not predicted for CUDA."""
        ledger = self._run.ledger
        return ledger.flops if isinstance(ledger, cuda_step.CudaLedger) else 0

    def _fit(self, setup: Setup) -> Setup:
        return replace(self._demo.fit(setup), predict=True)


class _RunInOpenLab(PredictedRun):
    """A run whose lab has been entered already, and is not left."""

    def _go(self, on_progress: OnProgress) -> None:
        self.doing = "predicting"
        self._predict()
