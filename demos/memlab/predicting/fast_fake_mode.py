"""FakeTensorMode, with a short way for the operators that a training step is made of.

torch's mode keys a cache by everything that could ever matter to an operator, which takes longer than most
of them deserve. Here, what works element by element on contiguous tensors of one type gives such a tensor
again, what makes a tensor needs only its size and type, and what changes one in place gives it back. Views,
products and sums are asked of their shape functions in C++ at once, and so is what has odd strides. Whatever
is not so plain (constants, other devices, options) goes torch's own way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, in_kernel_invocation_manager

_aten = torch.ops.aten
_CPU = torch.device("cpu")
_META = torch.device("meta")

DEVICE = torch.ops.prim.device.default
"""What C++ asks of a fake tensor more often than everything else together."""

_EMPTY = _aten.empty.memory_format
_VIEWS_AND_PRODUCTS = {
    one: one
    for one in (
        _aten.bmm.default,
        _aten.detach.default,
        _aten.expand.default,
        _aten.linear.default,
        _aten.max.default,
        _aten.mean.default,
        _aten.mean.dim,
        _aten.mm.default,
        _aten.permute.default,
        _aten.reshape.default,
        _aten.slice.Tensor,
        _aten.sum.dim_IntList,
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
_IN_PLACE = frozenset(
    (
        *(_aten.fill_.Scalar, _aten.normal_.default, _aten.uniform_.default, _aten.zero_.default),
        *(_aten.add_.Tensor, _aten.div_.Tensor),
    )
)


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
        kwargs = kwargs or {}
        if func in _IN_PLACE and self._plain_float(args[0]):
            return args[0]
        made = self._short_way(func, args, kwargs)
        return super().__torch_dispatch__(func, types, args, kwargs) if made is None else self._fake(made)

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

    def _short_way(self, func: Any, args: Any, kwargs: Any) -> torch.Tensor | None:
        """Return what the operator makes, on the meta device, or None if this is not plain."""
        if func in _VIEWS_AND_PRODUCTS:
            return None if kwargs else self._in_cpp(_VIEWS_AND_PRODUCTS[func], args)
        if func in _MAKE:
            return _empty(args[0], kwargs.get("dtype")) if _only_type(kwargs) else None
        if func in _MAKE_LIKE:
            plain = _only_type(kwargs) and self._plain(args[0]) and args[0].is_contiguous()
            return _empty(args[0].shape, kwargs.get("dtype") or args[0].dtype) if plain else None
        if func in _BINARY:
            return None if kwargs else self._of_two(func, *args)
        if func in _UNARY:
            if kwargs:
                return None
            if self._plain_float(args[0]):
                return _empty(args[0].shape, args[0].dtype)
            return self._in_cpp(func, args)
        if func is _CAST and kwargs.get("dtype") and _only_type(kwargs) and self._plain_float(args[0]):
            return _empty(args[0].shape, kwargs["dtype"])
        if func is _GROUPED and len(args) == 3 and not kwargs and all(map(self._plain, args)):
            return _grouped(*args)
        return None

    def _in_cpp(self, func: Any, args: Any) -> torch.Tensor | None:
        """Ask the operator's shape function, if all its tensors are plain."""
        if not all(not isinstance(arg, torch.Tensor) or self._plain(arg) for arg in args):
            return None
        with in_kernel_invocation_manager(self):
            made: torch.Tensor = func(*args)
        return made

    def _of_two(self, func: Any, first: Any, second: Any = None, *more: Any) -> torch.Tensor | None:
        alike = not more and self._plain_float(first)
        if alike and not isinstance(second, torch.Tensor):
            return _empty(first.shape, first.dtype) if isinstance(second, int | float) else None
        alike = alike and self._plain(second) and second.is_contiguous() and second.dtype is first.dtype
        if alike and (second.shape == first.shape or second.dim() == 0):
            return _empty(first.shape, first.dtype)
        return self._in_cpp(func, (first, second, *more))

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


def _grouped(left: torch.Tensor, right: torch.Tensor, ends: torch.Tensor) -> torch.Tensor | None:
    """Of experts in fp32, which the kernel of a CPU takes and torch's shape function refuses."""
    if left.dtype is not torch.float32:
        return None
    match left.dim(), right.dim():
        case 2, 2:
            return _empty((ends.shape[0], left.shape[0], right.shape[1]), left.dtype)
        case 2, 3:
            return _empty((left.shape[0], right.shape[2]), left.dtype)
        case 3, 2:
            return _empty((left.shape[1], right.shape[1]), left.dtype)
    return None


def _empty(shape: Sequence[int], dtype: torch.dtype | None) -> torch.Tensor:
    made: torch.Tensor = _EMPTY(shape, dtype=dtype, device=_META)
    return made


def _only_type(kwargs: Any) -> bool:
    """Whether no more than the type is chosen, of a tensor that lies contiguous on a CPU."""
    stays = {"layout": torch.strided, "device": _CPU, "pin_memory": False}
    return all(
        name == "dtype" or value is None or (name in stays and value == stays[name])
        for name, value in kwargs.items()
    )
