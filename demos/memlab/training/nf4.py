"""Store a model's frozen weights in four bits, with bitsandbytes."""

from __future__ import annotations

from typing import Any

import torch
from bitsandbytes.nn import Linear4bit, Params4bit
from transformers import BitsAndBytesConfig
from transformers.pytorch_utils import Conv1D


def quantize(model: Any, config: BitsAndBytesConfig) -> None:
    """Replace each linear layer but the output head by a frozen one with weights of four bits, in place.

    The result is what `from_pretrained(..., quantization_config=config)` gives, for models of any origin.
    Layer by layer, so that hardly more than the model itself is ever held. Raises ValueError for a model
    without linear layers.
    """
    head = model.get_output_embeddings()
    linears = {
        name: layer
        for name, layer in model.named_modules()
        if isinstance(layer, torch.nn.Linear | Conv1D) and layer is not head
    }
    if not linears:
        raise ValueError("the model has no linear layers to quantize")
    for name in list(linears):
        model.set_submodule(name, _four_bits(linears.pop(name), config))
    model.is_loaded_in_4bit = True  # by this PEFT knows that its adapters stand beside four bits


def _four_bits(linear: torch.nn.Linear | Conv1D, config: BitsAndBytesConfig) -> Linear4bit:
    # GPT-2's linear layers, which transformers calls Conv1D, have their weights the other way round.
    full = linear.weight.data.T.contiguous() if isinstance(linear, Conv1D) else linear.weight.data
    outs, ins = full.shape
    storage: dict[str, Any] = {
        "compress_statistics": config.bnb_4bit_use_double_quant,
        "quant_type": config.bnb_4bit_quant_type,
        "quant_storage": config.bnb_4bit_quant_storage,
    }
    layer = Linear4bit(
        ins,
        outs,
        bias=linear.bias is not None,
        compute_dtype=config.bnb_4bit_compute_dtype,
        device="meta",
        **storage,
    )
    weight: Any = Params4bit(full, requires_grad=False, module=layer, **storage)
    layer.weight = weight.to(linear.weight.device)  # moving it is what quantizes it
    layer.bias = linear.bias
    # On some CPUs the first evaluation would repack the weights for a kernel that passes no gradient on.
    layer.support_avx512bf16_for_cpu = False
    return layer
