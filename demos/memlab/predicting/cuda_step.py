"""How a training step on a CUDA device differs from one on a CPU, for steps that run on fake CPU tensors.

The source of each difference is cited where it is modelled. All else is as on a CPU: operators save the same
tensors for the backward pass, and return results of the same sizes. Not modelled, because no source gives it:
temporaries that a kernel allocates and frees within one operator, other than FlashAttention-2's backward pass
(on Hopper and Blackwell PyTorch may choose cuDNN's attention instead); and bitsandbytes' fused product for
few tokens, which has no unpacked weight in the forward pass.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from memlab.measuring.ledger import Ledger
from memlab.measuring.log import Entry
from memlab.predicting.fake_tensors import UnmodelledKernelError
from memlab.predicting.flops import flops

_FLASH_BACKWARD = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward.default
_UNFUSED_ATTENTION = torch.ops.aten._safe_softmax.default
"""Called by `scaled_dot_product_attention` where no fused kernel applies; all scores are saved."""
_PAGED_ELEMENTS = 100_000
"""bitsandbytes pages the states of parameters with at least so many elements (`get_state_buffer`)."""


class CudaLedger(Ledger):
    """A ledger that logs a step on CPU tensors as a CUDA device's, and counts floating-point operations."""

    flops = 0
    """Floating-point operations so far, as `predicting.flops` counts them."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = super().__torch_dispatch__(func, types, args, kwargs)
        if func is _FLASH_BACKWARD:  # after its results, which are allocated first
            self.log_scratch(_flash_backward_scratch(args[1], args[2], (kwargs or {}).get("attn_mask")))
        return result

    def _result(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if func.name().startswith("bitsandbytes::optimizer_update"):
            return None  # on CUDA one kernel that updates in place (bitsandbytes/backends/cuda/ops.py)
        if func is _UNFUSED_ATTENTION:
            raise UnmodelledKernelError(
                "its attention has no fused kernel on a CPU, as with values of another width than keys; what "
                "CUDA's kernel keeps is not modelled"
            )
        self.flops += flops(func, args)
        return super()._result(func, args, kwargs)


def _flash_backward_scratch(query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor | None) -> list[int]:
    """Return the sizes, in bytes, of the temporaries of FlashAttention-2's backward pass.

    `query` and `key` are batch × heads × length × width. By `mha_bwd` in
    `aten/src/ATen/native/transformers/cuda/flash_attn/flash_api.cpp`: the gradient of the queries is summed
    in fp32, with the sequence rounded up to 128 and the head's width to 32; one fp32 number a row; and with
    fewer heads of keys than of queries, the gradients of keys and values for each head of the queries. That
    kernel takes 16-bit tensors without a mask; for others the list is empty, as their kernels are not
    modelled.
    """
    if mask is not None or query.dtype not in (torch.bfloat16, torch.float16):
        return []
    batch, heads, length, width = query.shape
    rows = batch * heads * -(-length // 128) * 128
    scratch = [rows * 4, rows * -(-width // 32) * 32 * 4]
    if key.shape[1] != heads:
        scratch += [batch * heads * key.shape[2] * width * query.element_size()] * 2
    return scratch


def paged_entries(ledger: Ledger, optimizer: torch.optim.Optimizer) -> set[Entry]:
    """Return the entries of the optimizer's states that are in managed memory, which the driver allocates."""
    if not getattr(optimizer, "is_paged", False):
        return set()
    return {
        ledger.entry(state[name])
        for parameter, state in optimizer.state.items()
        if parameter.numel() >= _PAGED_ELEMENTS
        for name in ("state1", "state2")
    }


# ---- autocast --------------------------------------------------------------------------------------------

_linalg = torch.linalg
_functional = torch.nn.functional
_IN_FP32: frozenset[Callable[..., Any]] = frozenset(
    (
        *(torch.pow, torch.Tensor.pow, torch.Tensor.__pow__, torch.Tensor.__rpow__),
        *(torch.rsqrt, torch.Tensor.rsqrt, torch.reciprocal, torch.Tensor.reciprocal),
        *(torch.exp, torch.Tensor.exp, torch.log, torch.Tensor.log, torch.expm1, torch.log1p),
        *(torch.layer_norm, _functional.layer_norm, torch.rms_norm, _functional.rms_norm),
        *(torch.norm, torch.Tensor.norm, _linalg.norm, _linalg.vector_norm, _linalg.matrix_norm),
        *(torch.softmax, torch.Tensor.softmax, _functional.softmax, _functional.softplus),
        *(torch.log_softmax, torch.Tensor.log_softmax, _functional.log_softmax),
        *(torch.cumsum, torch.Tensor.cumsum, torch.sum, torch.Tensor.sum),
    )
)
"""What autocast runs in fp32 on CUDA and in its arguments' dtype on a CPU, as far as models call it.

The two lists are in `aten/src/ATen/autocast_mode.h`; `tests/lab/test_allocator.py` compares this one with
what torch has registered.
"""


class CudaAutocast(TorchFunctionMode):
    """Make autocast on a CPU choose dtypes as on CUDA. Both cast linear layers and products to bf16."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call `func`, with its arguments cast to fp32 if CUDA's autocast would cast them."""
        kwargs = kwargs or {}
        if func in _IN_FP32 and torch.is_autocast_enabled("cpu"):
            with torch.autocast("cpu", enabled=False):
                return func(*map(_to_fp32, args), **{name: _to_fp32(value) for name, value in kwargs.items()})
        return func(*args, **kwargs)


def patch_checkpoint_recompute(model: torch.nn.Module) -> None:
    """Wrap each layer's checkpoint function so that recomputation also runs under `CudaAutocast`. In place.

    Autograd's engine, which recomputes in the backward pass, does not inherit the mode.
    """
    module: Any
    for module in model.modules():
        checkpoint = getattr(module, "_gradient_checkpointing_func", None)
        if checkpoint is not None:
            module._gradient_checkpointing_func = partial(_checkpoint, checkpoint)


def _checkpoint(checkpoint: Callable[..., Any], function: Callable[..., Any], *args: Any) -> Any:
    def under_cuda_autocast(*args: Any) -> Any:
        with CudaAutocast():
            return function(*args)

    return checkpoint(under_cuda_autocast, *args)


def _to_fp32(value: Any) -> Any:
    if isinstance(value, torch.Tensor) and value.dtype in (torch.bfloat16, torch.float16):
        return value.float()
    return value
