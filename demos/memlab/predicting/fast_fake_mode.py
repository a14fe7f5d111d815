"""FakeTensorMode with a fast path for the operators that a training step consists of.

torch's mode looks each call up in a cache, with a key of everything that can matter to any operator; building
that key takes longer than most shape functions. The fast path covers:

- element-wise operators on contiguous tensors of one dtype: the result has the same shape and dtype
- factories: the result needs only shape and dtype
- in-place operators: the result is their first argument
- views, matrix products, sums, and element-wise operators on other strides: the shape function in C++ is
  called directly

Everything else (constants, other devices, options) is passed on to torch's own mode.
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
"""C++ calls this on fake tensors more often than all other operators together."""

_EMPTY = _aten.empty.memory_format
_BY_SHAPE_FUNCTION = {
    operator: operator
    for operator in (
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
_GROUPED_MM = _aten._grouped_mm.default
_FACTORIES = frozenset((_aten.empty.memory_format, _aten.zeros.default, _aten.ones.default))
_FACTORIES_LIKE = frozenset((_aten.empty_like.default, _aten.zeros_like.default))
_IN_PLACE = frozenset(
    (
        *(_aten.fill_.Scalar, _aten.normal_.default, _aten.uniform_.default, _aten.zero_.default),
        *(_aten.add_.Tensor, _aten.div_.Tensor),
    )
)


class FastFakeTensorMode(FakeTensorMode):
    """A FakeTensorMode with a fast path; results are equal in shape, strides, dtype and device."""

    _fake_attributes: dict[str, Any] | None = None

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here, and the inherited check costs time at every operator

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Return the fake result of one operator."""
        if func is DEVICE:
            return args[0].device
        kwargs = kwargs or {}
        if func in _IN_PLACE and self._is_plain_cpu_float(args[0]):
            return args[0]
        meta = self._fast_path(func, args, kwargs)
        return super().__torch_dispatch__(func, types, args, kwargs) if meta is None else self._to_fake(meta)

    def _to_fake(self, meta: torch.Tensor) -> torch.Tensor:
        """Return a meta tensor as a fake CPU tensor, as FakeTensor's constructor does.

        The attributes that the constructor sets on a plain tensor are always the same, so they are copied
        from the first one.
        """
        if self._fake_attributes is None:
            self._fake_attributes = dict(vars(FakeTensor(self, meta, device=_CPU)))
        fake: torch.Tensor = torch.Tensor._make_subclass(
            FakeTensor, meta, meta.requires_grad, dispatch_device=True, device_for_backend_keys=_CPU
        )
        torch._C._set_warn_deprecated_on_mutable_data_ptr(fake)  # DeepSpeed reads data pointers
        vars(fake).update(self._fake_attributes)
        return fake

    def _fast_path(self, func: Any, args: Any, kwargs: Any) -> torch.Tensor | None:
        """Return the operator's result as a meta tensor, or None if the fast path does not cover the call."""
        if func in _BY_SHAPE_FUNCTION:
            return None if kwargs else self._call_shape_function(_BY_SHAPE_FUNCTION[func], args)
        if func in _FACTORIES:
            return _empty(args[0], kwargs.get("dtype")) if _only_dtype(kwargs) else None
        if func in _FACTORIES_LIKE:
            plain = _only_dtype(kwargs) and self._is_plain_cpu(args[0]) and args[0].is_contiguous()
            return _empty(args[0].shape, kwargs.get("dtype") or args[0].dtype) if plain else None
        if func in _BINARY:
            return None if kwargs else self._binary(func, *args)
        if func in _UNARY:
            if kwargs:
                return None
            if self._is_plain_cpu_float(args[0]):
                return _empty(args[0].shape, args[0].dtype)
            return self._call_shape_function(func, args)
        if (
            func is _CAST
            and kwargs.get("dtype")
            and _only_dtype(kwargs)
            and self._is_plain_cpu_float(args[0])
        ):
            return _empty(args[0].shape, kwargs["dtype"])
        if func is _GROUPED_MM and len(args) == 3 and not kwargs and all(map(self._is_plain_cpu, args)):
            return _grouped_mm(*args)
        return None

    def _call_shape_function(self, func: Any, args: Any) -> torch.Tensor | None:
        """Call the operator in C++ on meta tensors; None if an argument is no plain CPU tensor."""
        if not all(not isinstance(arg, torch.Tensor) or self._is_plain_cpu(arg) for arg in args):
            return None
        with in_kernel_invocation_manager(self):
            meta: torch.Tensor = func(*args)
        return meta

    def _binary(self, func: Any, first: Any, second: Any = None, *more: Any) -> torch.Tensor | None:
        plain = not more and self._is_plain_cpu_float(first)
        if plain and not isinstance(second, torch.Tensor):
            return _empty(first.shape, first.dtype) if isinstance(second, int | float) else None
        plain = (
            plain and self._is_plain_cpu(second) and second.is_contiguous() and second.dtype is first.dtype
        )
        if plain and (second.shape == first.shape or second.dim() == 0):
            return _empty(first.shape, first.dtype)
        return self._call_shape_function(func, (first, second, *more))

    def _is_plain_cpu(self, tensor: torch.Tensor) -> bool:
        return (
            isinstance(tensor, FakeTensor)
            and tensor.layout is torch.strided
            and tensor.fake_mode is self
            and tensor.constant is None
            and tensor.fake_device == _CPU
        )

    def _is_plain_cpu_float(self, tensor: Any) -> bool:
        return (
            self._is_plain_cpu(tensor)
            and tensor.dim() > 0
            and tensor.is_floating_point()
            and tensor.is_contiguous()
        )


def _grouped_mm(left: torch.Tensor, right: torch.Tensor, ends: torch.Tensor) -> torch.Tensor | None:
    """Return the result of a grouped product in fp32, on which torch's shape function raises.

    `left` and `right` have two or three dimensions; `ends` holds the last row (exclusive) of each group.
    """
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
    meta: torch.Tensor = _EMPTY(shape, dtype=dtype, device=_META)
    return meta


def _only_dtype(kwargs: Any) -> bool:
    """Whether the options give at most the dtype, and otherwise the defaults of a CPU tensor."""
    defaults = {"layout": torch.strided, "device": _CPU, "pin_memory": False}
    return all(
        name == "dtype" or value is None or (name in defaults and value == defaults[name])
        for name, value in kwargs.items()
    )
