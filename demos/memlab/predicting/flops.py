"""Floating-point operations of an operator, as torch's own counter (`torch.utils.flop_counter`) counts them.

Matrix products and attention count, a multiplication and an addition as one operation each; everything else
is small beside them. torch's counter itself is not used: it is a second dispatch mode, and counts neither the
CPU's attention kernel, which fake CPU tensors dispatch to, nor grouped products of experts.
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
    """Return the floating-point operations of one call of the operator `func`; 0 if it is not counted."""
    count = _COUNTS.get(func)
    return 0 if count is None else int(count(*args))


def _linear(rows: torch.Tensor, weight: torch.Tensor, bias: Any = None) -> int:
    return 2 * rows.numel() * weight.shape[0]


def _matmul(left: torch.Tensor, right: torch.Tensor) -> int:
    return 2 * left.numel() * right.shape[-1]


def _grouped_mm(left: torch.Tensor, right: torch.Tensor, *_: Any) -> int:
    """Count a product of experts: every row of `left` is multiplied by one matrix of `right`."""
    groups = left.shape[0] if left.dim() == right.dim() == 3 else 1
    return 2 * groups * left.shape[-2] * left.shape[-1] * right.shape[-1]


_COUNTS: dict[Any, Any] = {
    _aten.mm.default: mm_flop,
    _aten.addmm.default: addmm_flop,
    _aten.bmm.default: bmm_flop,
    _aten.baddbmm.default: baddbmm_flop,
    _aten._grouped_mm.default: _grouped_mm,
    # Called below autograd by bitsandbytes' kernels, these are not decomposed into `mm`.
    _aten.linear.default: _linear,
    _aten.matmul.default: _matmul,
    _aten._scaled_dot_product_flash_attention_for_cpu.default: lambda query, key, value, *_: sdpa_flop_count(
        query.shape, key.shape, value.shape
    ),
    _aten._scaled_dot_product_flash_attention_for_cpu_backward.default: lambda grad, query, key, value, *_: (
        sdpa_backward_flop_count(grad.shape, query.shape, key.shape, value.shape)
    ),
}
