"""Tensors without memory: everything of a training step but its numbers.

Under `tensors()`, torch's FakeTensorMode (`fast_fake_mode` makes it faster), every tensor knows its shape,
type and device and holds no data, so a model of any size can be built and trained for a step on a small
machine. Operators run their shape functions in place of their kernels; what they would allocate is what the
ledger logs.

Two things do not work there by themselves, and are mended for as long as the block lasts:

- `module.to(...)` would exchange fake parameters by `torch.utils.swap_tensors`, which refuses whatever has
  weak references, as many of them have. Real parameters are given new data instead; so are fake ones here.
- bitsandbytes' kernels on a CPU are Python around C functions. The Python runs as it is, so that what it
  allocates is seen; the C functions, which allocate nothing, would want addresses and are left out. Its
  parameters of four bits are a subclass of tensor, which cannot be fake: a plain parameter takes their place.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily

from memlab.predicting.fast_fake_mode import QuickFakeTensorMode
from memlab.training.patching import replaced


class UnseenKernelError(Exception):
    """A kernel takes memory that nobody sees. Its text is one line for people."""


@contextmanager
def tensors() -> Iterator[FakeTensorMode]:
    """Let every tensor that is made inside the block be fake. Operators refuse real ones there."""
    mode = QuickFakeTensorMode()
    with replaced(torch.utils, "swap_tensors", _give_data), mode:
        yield mode


def _give_data(parameter: torch.Tensor, applied: torch.Tensor) -> None:
    parameter.data = applied.data


@contextmanager
def bitsandbytes(mode: FakeTensorMode) -> Iterator[None]:
    """Let bitsandbytes work on the fake tensors of `mode` as it does on those of a CPU."""
    from bitsandbytes import functional
    from bitsandbytes.backends.cpu import ops
    from bitsandbytes.nn import modules

    from memlab.training import nf4

    real_map = functional.create_dynamic_map

    def create_dynamic_map(*arguments: Any, **named: Any) -> torch.Tensor:
        with unset_fake_temporarily():  # the values of eight bits are worked out from one another
            values = real_map(*arguments, **named)
        return mode.from_tensor(values)

    with ExitStack() as stack:
        for owner, name, value in (
            (functional, "create_dynamic_map", create_dynamic_map),
            (functional, "name2qmap", {}),  # a cache, which must not keep a fake tensor
            (ops, "lib", _Nothing()),
            (ops, "get_ptr", lambda tensor: None),
            (modules, "Params4bit", _four_bits),
            (nf4, "Params4bit", _four_bits),
        ):
            stack.enter_context(replaced(owner, name, value))
        yield


class _Nothing:
    """A library whose every function does nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: None


def _four_bits(data: torch.Tensor, *, module: Any, requires_grad: bool = False, **storage: Any) -> Any:
    """Return `data` as a frozen parameter in four bits, with all that bitsandbytes and PEFT ask of one."""
    if data.device.type == "meta":  # a layer that is to be given its weight
        return torch.nn.Parameter(data, requires_grad=requires_grad)
    from bitsandbytes import functional

    if data.shape[-1] % 2:
        raise UnseenKernelError(
            f"bitsandbytes unpacks rows of {data.shape[-1]} weights by a kernel that it compiles first, and "
            "what that takes is out of sight; rows of an even number can be predicted"
        )
    packed, state = functional.quantize_4bit(data, blocksize=64, **storage)
    weight: Any = torch.nn.Parameter(packed, requires_grad=requires_grad)
    vars(weight).update(storage, blocksize=64, quant_state=state, bnb_quantized=True)
    module.quant_state = state
    return weight
