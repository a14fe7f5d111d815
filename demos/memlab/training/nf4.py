"""Quantize a model's linear layers to NF4 (four bits a weight), with bitsandbytes."""

from __future__ import annotations

from typing import Any

import torch
from bitsandbytes.nn import Linear4bit, Params4bit
from transformers import BitsAndBytesConfig
from transformers.pytorch_utils import Conv1D


def quantize(model: Any, config: BitsAndBytesConfig) -> None:
    """Replace each linear layer but the output head by a frozen one with 4-bit weights, in place.

    The result equals that of `from_pretrained(..., quantization_config=config)`, also for models that were
    not loaded from files. Layer by layer, so that the peak is little more than the model. Raises ValueError
    for a model without linear layers.

    Dettmers et al., "QLoRA: Efficient Finetuning of Quantized LLMs", arXiv 2305.14314, section 3.
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
        model.set_submodule(name, _to_4bit(linears.pop(name), config))
    model.is_loaded_in_4bit = True  # PEFT chooses its 4-bit adapter layers by this


def _to_4bit(linear: torch.nn.Linear | Conv1D, config: BitsAndBytesConfig) -> Linear4bit:
    # GPT-2's linear layers, transformers' Conv1D, store their weights transposed.
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
    layer.weight = weight.to(linear.weight.device)  # `to` quantizes
    layer.bias = linear.bias
    # On some CPUs the first evaluation would repack the weights for a kernel without a backward pass.
    layer.support_avx512bf16_for_cpu = False
    return layer
