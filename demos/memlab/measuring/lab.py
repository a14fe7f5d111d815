"""The object that a demo's `build(lab)` gets: it loads the model and makes what all techniques share."""

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
    """The technique changes nothing on this device. The message says why; the record gets it."""


class Lab:
    """The argument of a demo's `build(lab)`, and of its `step` and `batch` where it has its own.

    For a script to read:

    - `setup`: the options of the command line, a `memlab.options.setup.Setup`
    - `seed`: the run's seed; `load_model` seeds torch with it
    - `device`: where tensors go, a `torch.device`; a prediction for a GPU runs on `cpu`
    - `on_gpu`: whether the step is a GPU's, measured or predicted
    - `mixed`: whether trained weights are fp32 under bf16 autocast

    To call: `load_model` (once, first), `optimizer` or `optimizer_8bit`, `chunked_loss`,
    `offload_activations`, `autocast` around every forward pass, and `is_base`.

    Four attributes end up in the record's setup, and the methods set them; a script that has its own
    optimizer, loss or offloading sets them itself:

    - `base_dtype`: how the base model's weights are stored; None until a model is loaded
    - `optimizer_name`, `loss_kernel`: in words
    - `offloads`: whether anything is moved to the host's memory
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
        """Return the base model on the device, in training mode, its weights stored as `dtype`.

        With a `quantization_config`, the weights of all linear layers but the output head are frozen and
        stored in four bits. Raises ValueError if there are none.
        """
        self.base_dtype = dtype
        model = self._source.load(getattr(torch, dtype), self.device)
        if quantization_config is not None:
            from memlab.training import nf4

            nf4.quantize(model, quantization_config)
            self.base_dtype = f"{dtype}, linear layers {quantization_config.bnb_4bit_quant_type}"
        for tensor in (*model.parameters(), *model.buffers()):
            self._base[tensor] = True
        torch.manual_seed(self.seed)  # adapters that are initialised next depend on the seed alone
        return model

    def optimizer(self, model: torch.nn.Module) -> torch.optim.Optimizer:
        """Return AdamW over the trainable parameters, at the setup's learning rate.

        Fused: the default kernel makes temporaries that add to the peak.
        """
        trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
        assert self.setup.lr is not None
        return torch.optim.AdamW(trainable, lr=self.setup.lr, fused=True)

    def optimizer_8bit(self, model: torch.nn.Module) -> torch.optim.Optimizer:
        """Return bitsandbytes' AdamW over the trainable parameters, with moments of one byte an element.

        On a GPU the moments are in managed memory, which the driver can page out to the host.
        """
        from bitsandbytes import optim

        self.optimizer_name = "PagedAdamW8bit" if self.on_gpu else "AdamW8bit"
        trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimizer: torch.optim.Optimizer = getattr(optim, self.optimizer_name)(trainable, lr=self.setup.lr)
        return optimizer

    def chunked_loss(self, model: torch.nn.Module) -> torch.nn.Module:
        """Return the model with a loss that is computed for a few tokens at a time (`ChunkedLoss`)."""
        self.loss_kernel = f"cross_entropy (fp32 logits, {chunked.TOKENS} tokens at a time)"
        return chunked.ChunkedLoss(model)

    def offload_activations(self, model: torch.nn.Module) -> torch.nn.Module:
        """Return the model with activations kept in the host's memory between forward and backward pass.

        Raises NotApplicableError on a CPU, whose tensors are in the host's memory already.
        """
        self.offloads = True
        if not self.on_gpu:
            raise NotApplicableError("on a CPU, activations are in the host's memory already")
        return offload.OffloadedActivations(model)

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context of every forward pass: bf16 autocast, or nothing unless `mixed`."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed)

    def is_base(self, tensor: torch.Tensor) -> bool:
        """Whether `tensor` is a parameter or buffer of the base model as it was loaded."""
        return tensor in self._base
