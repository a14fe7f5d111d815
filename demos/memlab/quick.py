"""FakeTensorMode, with a short way for the operators that a training step is made of.

torch's mode keys a cache by everything that could ever matter to an operator, which takes longer than most
of them deserve. Here, views and matrix products are asked of their shape functions in C++ at once, what works
element by element on contiguous tensors of one type gives such a tensor again, what makes a tensor needs only
its size and type, and what fills one gives it back. Whatever is not so plain (constants, other devices, mixed
types, odd strides) goes torch's own way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, in_kernel_invocation_manager

_aten = torch.ops.aten
_CPU = torch.device("cpu")
_META = torch.device("meta")

DEVICE = torch.ops.prim.device.default
"""What C++ asks of a fake tensor more often than everything else together."""

_IN_CPP = {
    one: one
    for one in (
        _aten.bmm.default,
        _aten.detach.default,
        _aten.expand.default,
        _aten.linear.default,
        _aten.mm.default,
        _aten.permute.default,
        _aten.reshape.default,
        _aten.slice.Tensor,
        _aten.t.default,
        _aten.transpose.int,
        _aten.unsqueeze.default,
        _aten.view.default,
    )
} | {_aten._unsafe_view.default: _aten.view.default}
_BINARY = frozenset(
    (
        *(_aten.add.Tensor, _aten.sub.Tensor, _aten.mul.Tensor, _aten.div.Tensor),
        *(_aten.mul.Scalar, _aten.div.Scalar, _aten.pow.Tensor_Scalar, _aten.silu_backward.default),
    )
)
_CAST = _aten._to_copy.default
_UNARY = frozenset(
    (_aten.abs.default, _aten.clone.default, _aten.neg.default, _aten.rsqrt.default, _aten.silu.default)
)
_GROUPED = _aten._grouped_mm.default
_MAKE = frozenset((_aten.empty.memory_format, _aten.zeros.default, _aten.ones.default))
_MAKE_LIKE = frozenset((_aten.empty_like.default, _aten.zeros_like.default))
_FILL = frozenset((_aten.fill_.Scalar, _aten.normal_.default, _aten.uniform_.default, _aten.zero_.default))


class QuickFakeTensorMode(FakeTensorMode):
    """A FakeTensorMode that gives the same answers, sooner."""

    _likeness: dict[str, Any] | None = None

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here; to say so anew at every operator costs time

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Answer for one operator."""
        if func is DEVICE:
            return args[0].device
        if func in _FILL and self._plain_float(args[0]):
            return args[0]
        kwargs = kwargs or {}
        answer = self._short_way(func, args, kwargs)
        if answer is None:
            return super().__torch_dispatch__(func, types, args, kwargs)
        with in_kernel_invocation_manager(self):
            made = answer()
        return self._fake(made)

    def _fake(self, made: torch.Tensor) -> torch.Tensor:
        """Return a meta tensor as a fake one, as FakeTensor's constructor does.

        What it sets on a plain tensor is always the same, so it is taken from one that it has made.
        """
        if self._likeness is None:
            self._likeness = dict(vars(FakeTensor(self, made, device=_CPU)))
        fake: torch.Tensor = torch.Tensor._make_subclass(
            FakeTensor, made, made.requires_grad, dispatch_device=True, device_for_backend_keys=_CPU
        )
        torch._C._set_warn_deprecated_on_mutable_data_ptr(fake)  # DeepSpeed asks where a tensor lies
        vars(fake).update(self._likeness)
        return fake

    def _short_way(self, func: Any, args: Any, kwargs: Any) -> Callable[[], torch.Tensor] | None:
        """Return a function that makes the tensor on the meta device, or None if this is not plain."""
        if func in _IN_CPP:
            same = _IN_CPP[func]
            plain = not kwargs and all(not isinstance(arg, torch.Tensor) or self._plain(arg) for arg in args)
            return (lambda: same(*args)) if plain else None
        if func in _MAKE and _only_type(kwargs):
            return lambda: torch.empty(args[0], dtype=kwargs.get("dtype"), device=_META)
        if func in _MAKE_LIKE and _only_type(kwargs) and self._plain(args[0]) and args[0].is_contiguous():
            return _empty(args[0].shape, kwargs.get("dtype") or args[0].dtype)
        if func in _BINARY and not kwargs:
            return self._of_two(*args)
        if func in _UNARY and not kwargs and self._plain_float(args[0]):
            return _empty(args[0].shape, args[0].dtype)
        if func is _GROUPED and len(args) == 3 and not kwargs and all(map(self._plain, args)):
            return _grouped(*args)
        if func is _CAST and kwargs.get("dtype") and _only_type(kwargs) and self._plain_float(args[0]):
            return _empty(args[0].shape, kwargs["dtype"])
        return None

    def _of_two(self, first: Any, second: Any = None) -> Callable[[], torch.Tensor] | None:
        if not self._plain_float(first):
            return None
        shape = first.shape
        if isinstance(second, torch.Tensor):
            if not self._plain(second) or not second.is_contiguous() or second.dtype is not first.dtype:
                return None
            if second.shape != shape:
                shape = torch.broadcast_shapes(shape, second.shape)
                if shape not in (first.shape, second.shape):
                    return None
        elif not isinstance(second, int | float):
            return None
        return _empty(shape, first.dtype)

    def _plain(self, tensor: torch.Tensor) -> bool:
        return (
            isinstance(tensor, FakeTensor)
            and tensor.layout is torch.strided
            and tensor.fake_mode is self
            and tensor.constant is None
            and tensor.fake_device == _CPU
        )

    def _plain_float(self, tensor: Any) -> bool:
        return (
            self._plain(tensor) and tensor.dim() > 0 and tensor.is_floating_point() and tensor.is_contiguous()
        )


def _grouped(
    left: torch.Tensor, right: torch.Tensor, ends: torch.Tensor
) -> Callable[[], torch.Tensor] | None:
    """Of experts in fp32, which the kernel of a CPU takes and torch's shape function refuses."""
    if left.dtype is not torch.float32:
        return None
    shape: tuple[int, ...]
    match left.dim(), right.dim():
        case 2, 2:
            shape = (ends.shape[0], left.shape[0], right.shape[1])
        case 2, 3:
            shape = (left.shape[0], right.shape[2])
        case 3, 2:
            shape = (left.shape[1], right.shape[1])
        case _:
            return None
    return _empty(torch.Size(shape), left.dtype)


def _empty(shape: torch.Size, dtype: torch.dtype) -> Callable[[], torch.Tensor]:
    return lambda: torch.empty(shape, dtype=dtype, device=_META)


def _only_type(kwargs: Any) -> bool:
    """Whether no more than the type is chosen, of a tensor that lies contiguous on a CPU."""
    stays = {"layout": torch.strided, "device": _CPU, "pin_memory": False}
    return all(
        name == "dtype" or value is None or (name in stays and value == stays[name])
        for name, value in kwargs.items()
    )
