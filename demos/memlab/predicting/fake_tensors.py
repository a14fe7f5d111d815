"""Fake tensors, which have a shape, dtype and device and no data: a training step without its numbers.

Under `tensors()`, torch's FakeTensorMode (made faster by `fast_fake_mode`), a model of any size can be built
and trained for a step on a small machine. Operators run their shape functions instead of their kernels; the
ledger logs what they would allocate.

Two things do not work with fake tensors, and are patched inside the block:

- `module.to(...)` swaps fake parameters by `torch.utils.swap_tensors`, which raises on tensors with weak
  references, as many parameters have. For real parameters it assigns `.data` instead; here for fake ones too.
- bitsandbytes' kernels on a CPU are Python around C functions. The Python runs unchanged, so that its
  allocations are logged; the C functions, which allocate nothing and need addresses, are replaced by no-ops.
  `Params4bit` is a subclass of tensor, which cannot be fake: a plain parameter replaces it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily

from memlab.predicting.fast_fake_mode import FastFakeTensorMode
from memlab.training.patching import replaced


class UnmodelledKernelError(Exception):
    """A kernel allocates memory that the prediction does not model. The message is one line for users."""


@contextmanager
def tensors() -> Iterator[FakeTensorMode]:
    """Make every tensor that is created inside the block a fake one. Operators there raise on real ones."""
    mode = FastFakeTensorMode()
    with replaced(torch.utils, "swap_tensors", _assign_data), mode:
        yield mode


def _assign_data(parameter: torch.Tensor, applied: torch.Tensor) -> None:
    parameter.data = applied.data


@contextmanager
def bitsandbytes(mode: FakeTensorMode) -> Iterator[None]:
    """Patch bitsandbytes to work on the fake tensors of `mode` as it does on real CPU tensors."""
    from bitsandbytes import functional
    from bitsandbytes.backends.cpu import ops
    from bitsandbytes.nn import modules

    from memlab.training import nf4

    real_map: Callable[..., torch.Tensor] = functional.create_dynamic_map

    def create_dynamic_map(*arguments: Any, **named: Any) -> torch.Tensor:
        with unset_fake_temporarily():  # it computes with the numbers of small tensors
            values = real_map(*arguments, **named)
        return mode.from_tensor(values)

    with ExitStack() as stack:
        for owner, name, value in (
            (functional, "create_dynamic_map", create_dynamic_map),
            (functional, "name2qmap", {}),  # a cache, which must not keep fake tensors
            (ops, "lib", _NullLibrary()),
            (ops, "get_ptr", lambda tensor: None),
            (modules, "Params4bit", _fake_4bit_parameter),
            (nf4, "Params4bit", _fake_4bit_parameter),
        ):
            stack.enter_context(replaced(owner, name, value))
        yield


class _NullLibrary:
    """Stands for bitsandbytes' C library: every function does nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: None


def _fake_4bit_parameter(
    data: torch.Tensor, *, module: Any, requires_grad: bool = False, **storage: Any
) -> Any:
    """Return `data` as a 4-bit parameter, with what bitsandbytes and PEFT read of `Params4bit`.

    Raises UnmodelledKernelError for rows of an odd number of weights.
    """
    if data.device.type == "meta":  # a layer without its weight yet
        return torch.nn.Parameter(data, requires_grad=requires_grad)
    from bitsandbytes import functional

    if data.shape[-1] % 2:
        raise UnmodelledKernelError(
            f"bitsandbytes unpacks rows of {data.shape[-1]} weights by a kernel that it compiles first, and "
            "what that takes is out of sight; rows of an even number can be predicted"
        )
    packed, state = functional.quantize_4bit(data, blocksize=64, **storage)
    weight: Any = torch.nn.Parameter(packed, requires_grad=requires_grad)
    vars(weight).update(storage, blocksize=64, quant_state=state, bnb_quantized=True)
    module.quant_state = state
    return weight
