"""Floating-point operations of an operator, as torch's own counter (`torch.utils.flop_counter`) counts them.

Matrix products and attention, a multiplication and an addition each for one; all else is small beside them.
torch's counter is a dispatch mode of its own, and knows neither the attention of a CPU, whose fake tensors we
use, nor the products of experts.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.flop_counter import (
    addmm_flop,
    baddbmm_flop,
    bmm_flop,
    mm_flop,
    sdpa_backward_flop_count,
    sdpa_flop_count,
)

_aten = torch.ops.aten


def flops(func: Any, args: tuple[Any, ...]) -> int:
    """Return the operations of one call of the operator `func`."""
    count = _COUNTS.get(func)
    return 0 if count is None else int(count(*args))


def _linear(rows: torch.Tensor, weight: torch.Tensor, bias: Any = None) -> int:
    return 2 * rows.numel() * weight.shape[0]


def _matmul(left: torch.Tensor, right: torch.Tensor) -> int:
    return 2 * left.numel() * right.shape[-1]


def _grouped(left: torch.Tensor, right: torch.Tensor, *_: Any) -> int:
    """Of experts: every row of `left` meets one matrix of `right`, whichever way they are grouped."""
    groups = left.shape[0] if left.dim() == right.dim() == 3 else 1
    return 2 * groups * left.shape[-2] * left.shape[-1] * right.shape[-1]


_COUNTS: dict[Any, Any] = {
    _aten.mm.default: mm_flop,
    _aten.addmm.default: addmm_flop,
    _aten.bmm.default: bmm_flop,
    _aten.baddbmm.default: baddbmm_flop,
    _aten._grouped_mm.default: _grouped,
    # What bitsandbytes' kernels call comes as a whole: it was autograd that would have taken it apart.
    _aten.linear.default: _linear,
    _aten.matmul.default: _matmul,
    _aten._scaled_dot_product_flash_attention_for_cpu.default: lambda query, key, value, *_: sdpa_flop_count(
        query.shape, key.shape, value.shape
    ),
    _aten._scaled_dot_product_flash_attention_for_cpu_backward.default: lambda grad, query, key, value, *_: (
        sdpa_backward_flop_count(grad.shape, query.shape, key.shape, value.shape)
    ),
}
