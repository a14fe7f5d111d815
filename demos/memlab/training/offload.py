"""Offload activations to the host's memory between forward and backward pass.

`torch.autograd.graph.save_on_cpu` moves everything that autograd saves. That includes frozen weights, which
would be copied out and back in every step without freeing a byte; here they stay on the device.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.graph import saved_tensors_hooks

Packed = tuple[torch.device | None, torch.Tensor]
"""The device that a saved tensor returns to, or None if it was not moved, and the tensor."""


class OffloadedActivations(torch.nn.Module):
    """Wraps a model; its forward pass saves activations in pinned host memory.

    With `predicted`, offloaded tensors are meta tensors: on fake CPU tensors, host memory must not be
    counted.
    """

    def __init__(self, model: torch.nn.Module, *, predicted: bool = False) -> None:
        super().__init__()
        self.model = model
        self._host = {"device": "meta"} if predicted else {"device": "cpu", "pin_memory": True}

    def forward(self, **batch: torch.Tensor) -> Any:
        """Return what the model returns."""
        parameters = {parameter.untyped_storage()._cdata for parameter in self.model.parameters()}

        def pack(tensor: torch.Tensor) -> Packed:
            if tensor.untyped_storage()._cdata in parameters:
                return None, tensor
            host = torch.empty_like(tensor, **self._host)
            return tensor.device, host.copy_(tensor)

        with saved_tensors_hooks(pack, _unpack):
            return self.model(**batch)


def _unpack(packed: Packed) -> torch.Tensor:
    device, tensor = packed
    return tensor if device is None else tensor.to(device, non_blocking=True)
