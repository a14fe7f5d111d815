"""What a training step does on a CUDA device and not on a CPU, for steps that run on fake tensors of a CPU.

Each difference has its source. What is not here is as on a CPU: operators save the same tensors for the
backward pass, and give results of the same sizes. Not modelled, for want of a source: what a kernel takes and
gives back within one operator, but for FlashAttention-2's backward pass (on Hopper and Blackwell PyTorch may
take cuDNN's attention instead); and bitsandbytes' fused product for
few tokens, which has no unpacked weight in the forward pass.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from memlab.measuring.ledger import Entry, Ledger
from memlab.predicting.fake_tensors import UnseenKernelError
from memlab.predicting.flops import flops

_FLASH_BACKWARD = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward.default
_ATTENTION_BY_HAND = torch.ops.aten._safe_softmax.default
"""Where `scaled_dot_product_attention` has no fused kernel it takes this one, and keeps all scores."""
_PAGED_ELEMENTS = 100_000


class CudaLedger(Ledger):
    """A ledger that logs a CPU's step as a CUDA device's, and counts its floating-point operations."""

    flops = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = super().__torch_dispatch__(func, types, args, kwargs)
        if func is _FLASH_BACKWARD:  # its results are there when it takes more
            self.log_scratch(_flash_scratch(args[1], args[2], (kwargs or {}).get("attn_mask")))
        return result

    def _result(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if func.name().startswith("bitsandbytes::optimizer_update"):
            return None  # on CUDA one kernel that updates in place (bitsandbytes/backends/cuda/ops.py)
        if func is _ATTENTION_BY_HAND:
            raise UnseenKernelError(
                "its attention has no fused kernel on a CPU, as with values of another width than keys; what "
                "CUDA's kernel keeps is not modelled"
            )
        self.flops += flops(func, args)
        return super()._result(func, args, kwargs)


def _flash_scratch(query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor | None) -> list[int]:
    """Return the sizes, in bytes, of what FlashAttention-2's backward pass takes for itself.

    `mha_bwd` in `aten/src/ATen/native/transformers/cuda/flash_attn/flash_api.cpp`: the gradient of the
    queries is summed in fp32, with the sequence rounded up to 128 and the head's width to 32; one number a
    row; and with fewer heads of keys than of queries, both of their gradients for each head of the queries.
    It serves 16-bit tensors without a mask; what other kernels take is not known here.
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
    """Return the optimizer's states that lie in managed memory: they are the driver's, not the allocator's.

    bitsandbytes pages the states of whatever has 100,000 elements and more (`get_state_buffer`).
    """
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
"""What autocast computes in fp32 on CUDA and as it comes on a CPU, as far as models call it.

The two lists are in `aten/src/ATen/autocast_mode.h`; `tests/lab/test_allocator.py` holds this one against
what torch has registered.
"""


class CudaAutocast(TorchFunctionMode):
    """Let autocast on a CPU choose types as on CUDA. Both cast linear layers and products to bf16."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call `func`, on fp32 if CUDA's autocast would."""
        kwargs = kwargs or {}
        if func in _IN_FP32 and torch.is_autocast_enabled("cpu"):
            with torch.autocast("cpu", enabled=False):
                return func(*map(_in_fp32, args), **{name: _in_fp32(value) for name, value in kwargs.items()})
        return func(*args, **kwargs)


def choose_again(model: torch.nn.Module) -> None:
    """Let `CudaAutocast` also see what checkpoints compute again: autograd's engine knows of no such mode."""
    module: Any
    for module in model.modules():
        checkpoint = getattr(module, "_gradient_checkpointing_func", None)
        if checkpoint is not None:
            module._gradient_checkpointing_func = partial(_checkpoint, checkpoint)


def _checkpoint(checkpoint: Callable[..., Any], function: Callable[..., Any], *args: Any) -> Any:
    def chosen(*args: Any) -> Any:
        with CudaAutocast():
            return function(*args)

    return checkpoint(chosen, *args)


def _in_fp32(value: Any) -> Any:
    if isinstance(value, torch.Tensor) and value.dtype in (torch.bfloat16, torch.float16):
        return value.float()
    return value
