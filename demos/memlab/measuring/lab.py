"""What a demo's `build(lab)` works with: the model, the optimizer and what is the same for all techniques."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Literal

import torch
from torch.utils.weak import WeakIdKeyDictionary
from transformers import BitsAndBytesConfig

from memlab.options.setup import Setup
from memlab.training import chunked_loss as chunked
from memlab.training import offload
from memlab.training.model import Source


class NotApplicableError(Exception):
    """A technique has nothing to do on this device. Its text says why."""


class Lab:
    """What a demo's `build(lab)` works with.

    A script reads `setup` (the command line), `seed`, `device`, `mixed` and `on_gpu`, and calls `load_model`,
    `optimizer` or `optimizer_8bit`, `chunked_loss`, `offload_activations` and `autocast`. The record's setup
    takes `base_dtype`, `optimizer_name`, `loss_kernel` and `offloads` from here; a script that brings an
    optimizer or a loss of its own sets them.
    """

    def __init__(self, setup: Setup, seed: int, source: Source, device: torch.device) -> None:
        self.setup = setup
        self.seed = seed
        self.device = device
        self.base_dtype: str | None = None
        self.optimizer_name = "AdamW (fused)"
        self.loss_kernel = "cross_entropy (fp32 logits)"
        self.offloads = setup.offload
        self._source = source
        self._base = WeakIdKeyDictionary()

    @property
    def mixed(self) -> bool:
        """Whether trained weights are fp32 under bf16 autocast; otherwise everything is bf16."""
        return self.setup.precision == "mixed"

    @property
    def on_gpu(self) -> bool:
        """Whether the step is a GPU's, or is predicted for one."""
        return self.device.type == "cuda"

    def load_model(
        self, dtype: Literal["float32", "bfloat16"], quantization_config: BitsAndBytesConfig | None = None
    ) -> torch.nn.Module:
        """Return the base model on the device, its weights stored as `dtype`.

        With a `quantization_config`, the weights of its linear layers are stored in four bits.
        """
        self.base_dtype = dtype
        model = self._source.load(getattr(torch, dtype), self.device)
        if quantization_config is not None:
            from memlab.training import nf4

            nf4.quantize(model, quantization_config)
            self.base_dtype = f"{dtype}, linear layers {quantization_config.bnb_4bit_quant_type}"
        for tensor in (*model.parameters(), *model.buffers()):
            self._base[tensor] = True
        torch.manual_seed(self.seed)  # whatever a technique draws next depends on the seed alone
        return model

    def optimizer(self, model: torch.nn.Module) -> torch.optim.Optimizer:
        """Return AdamW over the trainable parameters; fused, since the default kernel adds to the peak."""
        trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
        assert self.setup.lr is not None
        return torch.optim.AdamW(trainable, lr=self.setup.lr, fused=True)

    def optimizer_8bit(self, model: torch.nn.Module) -> torch.optim.Optimizer:
        """Return bitsandbytes' AdamW with moments of one byte; on a GPU they can be paged out to the host."""
        from bitsandbytes import optim

        self.optimizer_name = "PagedAdamW8bit" if self.on_gpu else "AdamW8bit"
        trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimizer: torch.optim.Optimizer = getattr(optim, self.optimizer_name)(trainable, lr=self.setup.lr)
        return optimizer

    def chunked_loss(self, model: torch.nn.Module) -> torch.nn.Module:
        """Return the model with a loss that never holds the logits of the whole batch."""
        self.loss_kernel = f"cross_entropy (fp32 logits, {chunked.TOKENS} tokens at a time)"
        return chunked.ChunkedLoss(model)

    def offload_activations(self, model: torch.nn.Module) -> torch.nn.Module:
        """Return the model with activations that wait for the backward pass in the host's memory.

        Raises NotApplicableError on a CPU, whose tensors are there already.
        """
        self.offloads = True
        if not self.on_gpu:
            raise NotApplicableError("on a CPU, activations are in the host's memory already")
        return offload.OffloadedActivations(model)

    def autocast(self) -> AbstractContextManager[Any]:
        """The context of every forward pass."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed)

    def is_base(self, tensor: torch.Tensor) -> bool:
        """Whether `tensor` is a parameter or buffer of the base model as it was loaded."""
        return tensor in self._base
