"""Products of bf16 matrices by way of fp32, on CPUs for which PyTorch has no fast bf16 kernel.

Where oneDNN does not take bf16, PyTorch multiplies it in plain loops, 4 to 80 times slower than fp32. Inside
`fast_bf16(device)`, kernels of our own stand in for those: they convert their operands to fp32 tile by tile,
multiply the tiles by the BLAS library that PyTorch uses for fp32, and round each sum to bf16 once, as the
kernels of CPUs with bf16 units do. Tensors of any other type, empty ones, and whatever an operator would
refuse go to PyTorch's own kernel.

They are registered at the dispatcher's `CPU` key, below autograd, autocast and every dispatch mode: nothing
that watches operators can tell them from PyTorch's. The tiles lie in buffers that are made once a thread, and
are a kernel's own memory like any other kernel's.
"""

from __future__ import annotations

import platform
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch.utils._python_dispatch import _disable_current_modes

BY_TORCH = "bf16 by PyTorch"
THROUGH_FP32 = "bf16 through fp32"

_MACHINES = frozenset(("x86_64", "amd64", "aarch64", "arm64"))


# ---- which kernel ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cpu:
    """What decides how PyTorch multiplies bf16 on a CPU."""

    machine: str
    """As `platform.machine()` says it, in lower case."""
    onednn: bool
    """Whether PyTorch has oneDNN, and it is switched on."""
    onednn_takes_bf16: bool | None
    """Whether oneDNN multiplies bf16 on this CPU; None where this version of PyTorch does not say."""


@dataclass(frozen=True)
class Choice:
    """The kernel that multiplies bf16."""

    name: str
    """`BY_TORCH` or `THROUGH_FP32`, as a record has it."""
    warning: str | None = None
    """One line for people where the CPU is not known."""


def this_cpu() -> Cpu:
    """Return what decides on the CPU of this process.

    PyTorch's own question to oneDNN counts, not the CPU's flags: its operators ask the same before they
    choose a kernel (`mkldnn_bf16_device_check`), and the answer heeds `ONEDNN_MAX_CPU_ISA`.
    """
    takes_bf16 = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    onednn: Any = torch.backends.mkldnn
    return Cpu(
        machine=platform.machine().lower(),
        onednn=onednn.is_available() and onednn.enabled,
        onednn_takes_bf16=None if takes_bf16 is None else bool(takes_bf16()),
    )


def choose(cpu: Cpu) -> Choice:
    """Return the kernel for a CPU. Nothing is timed, so that a loaded machine chooses no other one."""
    if cpu.machine not in _MACHINES:
        return Choice(BY_TORCH, f"how fast bf16 is on {cpu.machine} is not known; PyTorch's kernels are used")
    if not cpu.onednn:
        return Choice(THROUGH_FP32)
    if cpu.onednn_takes_bf16 is None:
        return Choice(
            BY_TORCH, "PyTorch does not say whether bf16 is fast on this CPU; its own kernels are used"
        )
    return Choice(BY_TORCH if cpu.onednn_takes_bf16 else THROUGH_FP32)


@contextmanager
def fast_bf16(device: torch.device) -> Iterator[Choice]:
    """Multiply bf16 by the kernel that is chosen for this CPU inside the block; on a GPU, change nothing."""
    choice = choose(this_cpu()) if device.type == "cpu" else Choice(BY_TORCH)
    with through_fp32() if choice.name == THROUGH_FP32 else nullcontext():
        yield choice


@contextmanager
def through_fp32() -> Iterator[None]:
    """Multiply bf16 on the CPU through fp32 inside the block, in all threads, whatever the CPU is."""
    kernels = _Kernels()
    try:
        yield
    finally:
        kernels.remove()


# ---- the kernels -----------------------------------------------------------------------------------------

_CPU = torch._C.DispatchKeySet(torch._C.DispatchKey.CPU)
_ATTENTION = "_scaled_dot_product_flash_attention_for_cpu"

_ROWS, _INNER, _COLUMNS = 1024, 2048, 1024
"""The largest tile of a product: rows × inner times inner × columns."""


class _Buffers(threading.local):
    """Room for a tile of each operand and of their product, 20 MiB a thread, in fp32."""

    def __init__(self) -> None:
        with _disable_current_modes():  # real memory, and no ledger's business, whoever watches
            self.left = torch.empty(_ROWS * _INNER, dtype=torch.float32, device="cpu")
            self.right = torch.empty(_INNER * _COLUMNS, dtype=torch.float32, device="cpu")
            self.sums = torch.empty(_ROWS * _COLUMNS, dtype=torch.float32, device="cpu")


class _Kernels:
    """The kernels that stand in for PyTorch's, registered until `remove`."""

    def __init__(self) -> None:
        self._buffers = _Buffers()
        self._torchs: dict[str, Callable[..., Any]] = {}
        self._library = torch.library.Library("aten", "IMPL")
        for products in ("mm", "bmm"):
            self._replace(products, self._product)
            self._replace(f"{products}.out", self._product)
        for sums in ("addmm", "baddbmm"):
            self._replace(sums, self._sum)
            self._replace(f"{sums}.out", self._sum)
            self._replace(f"{sums}_", self._sum_in_place)
        self._replace(_ATTENTION, self._attention)
        self._replace(f"{_ATTENTION}_backward", self._attention_backward)

    def _replace(self, operator: str, kernel: Callable[..., Any]) -> None:
        torchs = torch.library.get_kernel(f"aten::{operator}", "CPU").call_boxed
        self._torchs[operator] = partial(torchs, _CPU)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch warns that a kernel is overridden: so it is
            self._library.impl(operator, partial(kernel, self._torchs[operator]), "CPU", allow_override=True)

    def remove(self) -> None:
        """Let PyTorch's own kernels take over again."""
        self._library._destroy()

    # ---- products ----------------------------------------------------------------------------------------

    def _product(
        self, torchs: Callable[..., Any], left: torch.Tensor, right: torch.Tensor, **out: torch.Tensor
    ) -> Any:
        if _multiply(left, right) and all(_holds(one, left, right) for one in out.values()):
            return self._fill(out.get("out"), None, left, right, 0, 1)
        return torchs(left, right, **out)

    def _sum(
        self,
        torchs: Callable[..., Any],
        add: torch.Tensor,
        left: torch.Tensor,
        right: torch.Tensor,
        *,
        beta: Any = 1,
        alpha: Any = 1,
        **out: torch.Tensor,
    ) -> Any:
        if (
            _multiply(left, right)
            and _expands(add, left, right)
            and _are_plain(beta, alpha)
            and all(_holds(one, left, right, add) for one in out.values())
        ):
            return self._fill(out.get("out"), add, left, right, beta, alpha)
        return torchs(add, left, right, beta=beta, alpha=alpha, **out)

    def _sum_in_place(
        self,
        torchs: Callable[..., Any],
        add: torch.Tensor,
        left: torch.Tensor,
        right: torch.Tensor,
        *,
        beta: Any = 1,
        alpha: Any = 1,
    ) -> Any:
        if _multiply(left, right) and _holds(add, left, right) and _are_plain(beta, alpha):
            return self._fill(add, add, left, right, beta, alpha)
        return torchs(add, left, right, beta=beta, alpha=alpha)

    def _fill(
        self,
        out: torch.Tensor | None,
        add: torch.Tensor | None,
        left: torch.Tensor,
        right: torch.Tensor,
        beta: float,
        alpha: float,
    ) -> torch.Tensor:
        """Write beta · add + alpha · left · right into `out`, or into a new tensor, and return it."""
        shape = (*left.shape[:-1], right.shape[-1])
        if out is None:
            out = left.new_empty(shape)
        if add is not None:
            add = add.expand(shape)
        for span in _spans(left, right):
            part = None if add is None else add[span]
            self._fill_matrices(out[span], part, left[span], right[span], beta, alpha)
        return out

    def _fill_matrices(
        self,
        out: torch.Tensor,
        add: torch.Tensor | None,
        left: torch.Tensor,
        right: torch.Tensor,
        beta: float,
        alpha: float,
    ) -> None:
        buffers = self._buffers
        accumulate = self._torchs["addmm_" if left.dim() == 2 else "baddbmm_"]
        for rows in _blocks(left.shape[-2], _ROWS):
            for columns in _blocks(right.shape[-1], _COLUMNS):
                tile = out[..., rows, columns]
                sums = buffers.sums[: tile.numel()].view(tile.shape)
                if add is not None and beta != 0:
                    sums.copy_(add[..., rows, columns])
                scale = beta
                for inner in _blocks(left.shape[-1], _INNER):
                    a = _in_fp32(left[..., rows, inner], buffers.left)
                    b = _in_fp32(right[..., inner, columns], buffers.right)
                    accumulate(sums, a, b, beta=scale, alpha=alpha)
                    scale = 1
                tile.copy_(sums)

    # ---- attention ---------------------------------------------------------------------------------------

    def _attention(self, torchs: Callable[..., Any], query: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        if query.dtype is not torch.bfloat16:
            return torchs(query, *args, **kwargs)
        output, logsumexp = torchs(*map(_widen, (query, *args)), **_widened(kwargs))
        return output.to(torch.bfloat16), logsumexp

    def _attention_backward(
        self, torchs: Callable[..., Any], grad_out: torch.Tensor, *args: Any, **kwargs: Any
    ) -> Any:
        if grad_out.dtype is not torch.bfloat16:
            return torchs(grad_out, *args, **kwargs)
        gradients = torchs(*map(_widen, (grad_out, *args)), **_widened(kwargs))
        return tuple(gradient.to(torch.bfloat16) for gradient in gradients)


def _multiply(left: torch.Tensor, right: torch.Tensor) -> bool:
    """Whether these are bf16 matrices, or as many on both sides, that can be multiplied and hold numbers."""
    return (
        left.dtype is right.dtype is torch.bfloat16
        and left.dim() == right.dim()
        and left.shape[-1] == right.shape[-2]
        and left.shape[:-2] == right.shape[:-2]
        and left.numel() > 0
        and right.numel() > 0
    )


def _expands(add: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> bool:
    """Whether `add` is bf16 and can be added to the product of the other two."""
    shape = (*left.shape[:-1], right.shape[-1])
    return (
        add.dtype is torch.bfloat16
        and add.dim() <= len(shape)
        and all(own in (1, whole) for own, whole in zip(reversed(add.shape), reversed(shape), strict=False))
    )


def _are_plain(beta: Any, alpha: Any) -> bool:
    return isinstance(beta, int | float) and isinstance(alpha, int | float) and alpha != 0


def _holds(out: torch.Tensor, left: torch.Tensor, right: torch.Tensor, *others: torch.Tensor) -> bool:
    """Whether the product can be written into `out` as it is, tile by tile, and no operand is lost by it."""
    return (
        out.dtype is torch.bfloat16
        and out.shape == (*left.shape[:-1], right.shape[-1])
        and not any(_share_storage(out, one) for one in (left, right))
        and all(out is one or not _share_storage(out, one) for one in others)
    )


def _share_storage(a: torch.Tensor, b: torch.Tensor) -> bool:
    return bool(a.untyped_storage()._cdata == b.untyped_storage()._cdata)


def _spans(left: torch.Tensor, right: torch.Tensor) -> list[Any]:
    """Return index ranges of a batch whose matrices fit into the buffers together; all, if there is none."""
    if left.dim() == 2:
        return [...]
    rows, inner = min(left.shape[-2], _ROWS), min(left.shape[-1], _INNER)
    columns = min(right.shape[-1], _COLUMNS)
    sizes = (
        (_ROWS * _INNER, rows * inner),
        (_INNER * _COLUMNS, inner * columns),
        (_ROWS * _COLUMNS, rows * columns),
    )
    return _blocks(left.shape[0], min(room // size for room, size in sizes))


def _blocks(length: int, most: int) -> list[slice]:
    return [slice(start, min(start + most, length)) for start in range(0, length, most)]


def _in_fp32(tile: torch.Tensor, buffer: torch.Tensor) -> torch.Tensor:
    """Return the tile in fp32, in the buffer; a transposed one stays so, since BLAS reads both alike."""
    room = buffer[: tile.numel()]
    if tile.stride(-2) == 1 and tile.stride(-1) != 1:
        return room.view(tile.mT.shape).mT.copy_(tile)
    return room.view(tile.shape).copy_(tile)


def _widen(value: Any) -> Any:
    """Return a bf16 tensor in fp32, and anything else as it is."""
    return value.float() if isinstance(value, torch.Tensor) and value.dtype is torch.bfloat16 else value


def _widened(options: dict[str, Any]) -> dict[str, Any]:
    return {name: _widen(value) for name, value in options.items()}
