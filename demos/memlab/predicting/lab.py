"""The lab of a prediction: `build(lab)` runs on fake tensors."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import Literal

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import BitsAndBytesConfig

from memlab.measuring.lab import Lab
from memlab.options.setup import Setup
from memlab.predicting import fake_tensors
from memlab.training import offload
from memlab.training.model import Source


class PredictedLab(Lab):
    """A lab whose tensors are fake while it is entered; the weights are random ones, whatever the model.

    A context manager. Calling its methods outside of it is an error.
    """

    def __init__(self, setup: Setup, seed: int, source: Source, device: torch.device) -> None:
        super().__init__(setup, seed, replace(source, weights=None), device)
        self._open = ExitStack()
        self._mode: FakeTensorMode | None = None

    def __enter__(self) -> PredictedLab:
        self._mode = self._open.enter_context(fake_tensors.tensors())
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def load_model(
        self, dtype: Literal["float32", "bfloat16"], quantization_config: BitsAndBytesConfig | None = None
    ) -> torch.nn.Module:
        """Return the base model with weights of type `dtype`, or four bits, as `Lab.load_model` does."""
        if quantization_config is not None:
            self._enable_bitsandbytes()
        return super().load_model(dtype, quantization_config)

    def optimizer_8bit(self, model: torch.nn.Module) -> torch.optim.Optimizer:
        """Return bitsandbytes' AdamW with moments of one byte."""
        self._enable_bitsandbytes()
        optimizer = super().optimizer_8bit(model)
        # Suppress its one-time warning that paged states need CUDA.
        vars(optimizer)["_cpu_paged_warned"] = True
        return optimizer

    def offload_activations(self, model: torch.nn.Module) -> torch.nn.Module:
        """Return the model with activations off the device, as `Lab.offload_activations` does."""
        if not self.on_gpu:
            return super().offload_activations(model)
        self.offloads = True
        return offload.OffloadedActivations(model, predicted=True)

    @property
    def on_gpu(self) -> bool:
        """Whether the step is predicted for a GPU."""
        return self.setup.for_ == "cuda"

    def _enable_bitsandbytes(self) -> None:
        assert self._mode is not None
        self._open.enter_context(fake_tensors.bitsandbytes(self._mode))
