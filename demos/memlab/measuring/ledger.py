"""The ledger: which bytes are alive during a training step, of what kind each is, and when the peak was.

`Ledger` is a `TorchDispatchMode`: it sees every operator that runs below autograd and autocast, on real CPU
tensors, real CUDA tensors and fake tensors alike. It keeps one append-only log of allocations and frees of
*storages* (the memory behind tensors: two views share one), and computes peaks and breakdowns afterwards, in
time proportional to the log. A storage's kind is assigned late, because only later events show what it was
for:

- weights: the parameters and buffers of the base model, by identity; with NF4, their quantization state too
- adapters: the model's other parameters and buffers
- gradients: what a parameter's `.grad` holds once autograd has accumulated it
- optimizer: the tensors in `optimizer.state`
- activations: allocated in the forward pass and alive at its end, kept for the backward pass
- other: copies of parameters in another dtype, made in the forward pass (autocast's bf16 weights), and what
  was alive before and is none of the above: the batch, and on a GPU what the allocator holds for no tensor
- temporaries: the rest, allocated and freed inside a phase

The dispatch mode itself must not change what is counted. Where a tensor has several gradients, autograd adds
each to the first in place if nothing else holds that, but never under a dispatch mode; here the allocation of
the sum is therefore logged only when the first gradient is freed (`_defer_gradient_sum`).

Not counted: memory that a kernel allocates and frees inside one operator, and what the CUDA allocator adds by
rounding. The clean pass beside the ledger measures the allocator itself.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate, pairwise
from types import TracebackType
from typing import Any, Literal

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from memlab.measuring.log import Entry, Log, Phase
from memlab.results.record import KINDS, Breakdown, Instant

_CAST = torch.ops.aten._to_copy.default
_SUM = torch.ops.aten.add.Tensor
_DEVICE = torch.ops.prim.device.default
"""C++ calls this on fake tensors more often than all other operators together."""
_REDISPATCHED = "bitsandbytes"
"""Namespace of the operators that are implemented in Python by other operators, whose temporaries count."""
_KERNEL = {
    "cpu": torch._C.DispatchKeySet(torch._C.DispatchKey.CPU),
    "cuda": torch._C.DispatchKeySet(torch._C.DispatchKey.CUDA),
}


@dataclass(frozen=True)
class Peak:
    """The instant at which most bytes were alive."""

    total: int
    """Bytes alive."""
    phase: Phase | None
    """The phase of the instant; None outside all phases."""
    breakdown: Breakdown
    """The same bytes by kind."""


class Ledger(TorchDispatchMode):
    """Log the allocations and frees of storages on one type of device while it is active.

    Use: `watch` the model, then enter the ledger, and wrap the parts of the step in `phase(...)`;
    afterwards read `peak()`, `alive()`, `timeline()` and `peak_bytes(kinds)`, or pass `log()` to a model of
    an allocator. All sizes are bytes. One ledger serves one step, in the thread that entered it.
    """

    def __init__(self, device_type: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._device_type = device_type
        self._alive: dict[int, Entry] = {}
        self._references: dict[int, weakref.ref[torch.UntypedStorage]] = {}
        self._before: list[tuple[Entry, int]] = []
        self._events: list[tuple[float, Entry, int]] = []
        self._deferred_sum: tuple[Entry, int, int] | None = None
        self._phases: list[tuple[int, Phase | None]] = [(0, None)]
        self._phase: Phase | None = None
        self._optimizer: torch.optim.Optimizer | None = None
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []

    # ---- what is watched ---------------------------------------------------------------------------------

    def watch(
        self,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        is_base: Callable[[torch.Tensor], bool] = lambda tensor: True,
    ) -> None:
        """Register the storages of weights, adapters, gradients and optimizer state; call it before entering.

        `is_base` says whether a parameter or buffer is the base model's; the others are adapters. Gradients
        are registered by hooks, which leaving the ledger removes.
        """
        for tensor in (*model.parameters(), *model.buffers()):
            self.claim("weights" if is_base(tensor) else "adapters", _with_quantization_state(tensor))
        for parameter in model.parameters():
            if parameter.grad is not None:
                self.claim("gradients", [parameter.grad])
            if parameter.requires_grad:
                self._hooks.append(parameter.register_post_accumulate_grad_hook(self._claim_gradient))
        self._optimizer = optimizer
        self._claim_optimizer_state()

    def claim(self, kind: str, tensors: Iterable[torch.Tensor]) -> None:
        """Set the kind of the storages behind `tensors`, whenever they were allocated.

        Tensors on other types of device are ignored.
        """
        for tensor in tensors:
            if tensor.device.type == self._device_type:
                self._entry(tensor, born=None).kind = kind

    def add(self, kind: str, nbytes: int) -> None:
        """Count `nbytes` from the start for memory without a tensor, such as cuBLAS's workspace."""
        self._before.append((Entry(nbytes, None, kind), nbytes))

    def _claim_gradient(self, parameter: torch.Tensor) -> None:
        if parameter.grad is not None:
            self.claim("gradients", [parameter.grad])

    def _claim_optimizer_state(self) -> None:
        if self._optimizer is not None:
            for state in self._optimizer.state.values():
                self.claim(
                    "optimizer", (value for value in state.values() if isinstance(value, torch.Tensor))
                )

    # ---- the log -----------------------------------------------------------------------------------------

    @contextmanager
    def phase(self, name: Phase) -> Iterator[None]:
        """Name the part of the step that runs inside: `forward`, `backward` or `optimizer`."""
        self._enter_phase(name)
        try:
            yield
        finally:
            if name == "forward":
                for entry in self._alive.values():
                    if entry.kind is None and entry.born == name:
                        entry.kind = "activations"
            elif name == "optimizer":
                self._claim_optimizer_state()
            self._enter_phase(None)

    def _enter_phase(self, name: Phase | None) -> None:
        self._log_deferred_sum()
        self._phase = name
        self._phases.append((len(self._events), name))

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here, and the inherited check costs time at every operator

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func is _DEVICE:
            return args[0].device
        kwargs = kwargs or {}
        self._log_deferred_sum()
        for tensor in tensors_in((*args, *kwargs.values())):
            if tensor.device.type == self._device_type:
                self._entry(tensor, born=None)
        result = self._result(func, args, kwargs)
        if func is _SUM and self._phase == "backward":
            self._defer_gradient_sum(args[0], result)
        for tensor in tensors_in((result,)):
            if tensor.device.type == self._device_type:
                self._entry(tensor, born=self._phase or "between")
        if func is _CAST and self._phase == "forward":
            self._mark_copy_of_parameter(args[0], result)
        return result

    def _mark_copy_of_parameter(self, source: torch.Tensor, copy: torch.Tensor) -> None:
        if source.device.type == copy.device.type == self._device_type:
            entry = self._entry(copy, born=None)
            if entry.kind is None and self._entry(source, born=None).kind in ("weights", "adapters"):
                entry.kind = "other"

    def _result(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if func.namespace != _REDISPATCHED:
            return func(*args, **kwargs)
        # Dispatch turns the mode off; the kernel's own operators are to be logged too.
        super().__enter__()  # type: ignore[no-untyped-call]
        try:
            return func.redispatch(_KERNEL[self._device_type], *args, **kwargs)
        finally:
            super().__exit__(None, None, None)  # type: ignore[no-untyped-call]

    def _defer_gradient_sum(self, first: torch.Tensor, result: torch.Tensor) -> None:
        """Defer logging the allocation of a sum of gradients, if autograd would compute it in place.

        The conditions are those of `can_accumulate_inplace` in torch's `input_buffer.cpp`. A view shares its
        storage with its base, so it is excluded. Whether anything else holds `first` shows when it is freed.
        """
        # Autograd sums gradients with grad mode off; recomputation under checkpointing runs with it on.
        if torch.is_grad_enabled() or first._is_view() or first.device.type != self._device_type:
            return
        entry = self._entry(result, born="backward", deferred=True)
        self._deferred_sum = entry, first.untyped_storage()._cdata, len(self._events)

    def _log_deferred_sum(self) -> None:
        """Log the deferred sum: now if the gradient that it replaces is freed, else where it was computed."""
        if self._deferred_sum is not None:
            entry, first_key, computed_at = self._deferred_sum
            self._deferred_sum = None
            index = computed_at if first_key in self._alive else len(self._events)
            self._events.insert(index, (time.perf_counter(), entry, entry.nbytes))

    def _entry(
        self, tensor: torch.Tensor, born: Phase | Literal["between"] | None, *, deferred: bool = False
    ) -> Entry:
        """Return the entry of the storage behind `tensor`; add one if it is new, log a change of its size.

        With `deferred`, the caller logs the allocation of a new storage.
        """
        storage = tensor.untyped_storage()
        key = storage._cdata
        entry = self._alive.get(key)
        if entry is None:
            entry = self._alive[key] = Entry(storage.nbytes(), born)
            self._references[key] = weakref.ref(storage, lambda _: self._on_storage_freed(key))
            if born is None:
                # Its allocation was not logged, so it was there before: it counts from the start.
                self._before.append((entry, entry.nbytes))
            elif not deferred:
                self._events.append((time.perf_counter(), entry, entry.nbytes))
        elif entry.nbytes != storage.nbytes():
            self._events.append((time.perf_counter(), entry, storage.nbytes() - entry.nbytes))
            entry.nbytes = storage.nbytes()
        return entry

    def _on_storage_freed(self, key: int) -> None:
        del self._references[key]
        entry = self._alive.pop(key)
        if self._deferred_sum is not None and entry is self._deferred_sum[0]:
            self._log_deferred_sum()
        self._events.append((time.perf_counter(), entry, -entry.nbytes))

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        super().__exit__(exc_type, exc_value, traceback)  # type: ignore[no-untyped-call]
        self._log_deferred_sum()
        self._claim_optimizer_state()
        self._references.clear()  # frees after the step are not logged
        for hook in self._hooks:
            hook.remove()

    def log_scratch(self, sizes: Sequence[int]) -> None:
        """Log temporaries of these sizes, in bytes, that a kernel allocates and frees besides its results."""
        scratch = [Entry(nbytes, self._phase or "between") for nbytes in sizes]
        now = time.perf_counter()
        self._events += [(now, entry, entry.nbytes) for entry in scratch]
        self._events += [(now, entry, -entry.nbytes) for entry in scratch]

    # ---- reading the log ---------------------------------------------------------------------------------

    def entry(self, tensor: torch.Tensor) -> Entry:
        """Return the entry of a tensor that is still alive. Raises KeyError for one that was never logged."""
        return self._alive[tensor.untyped_storage()._cdata]

    def log(self) -> Log:
        """Return the requests and frees that an allocator would get, in their order."""
        return Log(
            before=list(self._before),
            events=[(entry, delta) for _, entry, delta in self._events],
            starts={name: start for start, _, name in self._stretches() if name is not None},
        )

    def peak(self, phase: Phase | None = None) -> Peak:
        """Return the instant with most bytes alive: of the step, or of one phase, its beginning included.

        Raises ValueError when nothing happened in that phase.
        """
        totals = self._totals()
        instants: Sequence[int] = range(len(totals))
        if phase is not None:
            instants = [
                i for start, end, name in self._stretches() if name == phase for i in range(start, end + 1)
            ]
        if not instants:
            raise ValueError(f"nothing was logged in the phase {phase!r}")
        best = max(instants, key=totals.__getitem__)
        # An instant between two phases belongs to the one whose event led to it.
        phase_at_peak = next((name for start, end, name in self._stretches() if start < best <= end), None)
        return Peak(totals[best], phase or phase_at_peak, self._breakdowns([best])[0])

    def peak_bytes(self, kinds: Collection[str]) -> int:
        """Return the peak, in bytes, of the sum over these kinds, written with their sub-kinds."""
        before = sum(nbytes for entry, nbytes in self._before if entry.kind in kinds)
        changes = (delta for _, entry, delta in self._events if entry.kind in kinds)
        return max(accumulate(changes, initial=before))

    def alive(self) -> Breakdown:
        """Return the bytes by kind that are alive after the last event."""
        return self._breakdowns([len(self._events)])[0]

    def timeline(self, points: int = 300) -> list[Instant]:
        """Return at most `points` instants: seconds since the first, then bytes in the order of `KINDS`.

        The log is cut into equal stretches, and the highest instant of each is returned; so the peak is
        always among them.
        """
        totals = self._totals()
        stretches = min(points - 2, len(totals)) or 1
        edges = [round(i * len(totals) / stretches) for i in range(stretches + 1)]
        chosen = {max(range(low, high), key=totals.__getitem__) for low, high in pairwise(edges)}
        indices = sorted(chosen | {0, len(totals) - 1})
        times = [time for time, _, _ in self._events[:1] + self._events] or [0.0]
        return [
            (round(times[index] - times[0], 6), *_in_order(breakdown))
            for index, breakdown in zip(indices, self._breakdowns(indices), strict=True)
        ]

    def _totals(self) -> list[int]:
        """Return the bytes alive before the first event and after each: one more than there are events."""
        base = sum(nbytes for _, nbytes in self._before)
        return list(accumulate((delta for _, _, delta in self._events), initial=base))

    def _stretches(self) -> Iterator[tuple[int, int, Phase | None]]:
        """Yield (first, last, phase): the instants of `_totals` between which a phase ran, both included."""
        for (start, name), (end, _) in pairwise([*self._phases, (len(self._events), None)]):
            yield start, end, name

    def _breakdowns(self, indices: list[int]) -> list[Breakdown]:
        """Return the breakdown at each instant; `indices` ascend."""
        alive = dict.fromkeys(KINDS, 0)
        for entry, nbytes in self._before:
            alive[_without_sub_kind(entry.kind or "other")] += nbytes
        breakdowns, applied = [], 0
        for index in indices:
            for _, entry, delta in self._events[applied:index]:
                alive[
                    _without_sub_kind(entry.kind or ("other" if entry.born is None else "temporaries"))
                ] += delta
            applied = index
            breakdowns.append(Breakdown(**alive))
        return breakdowns


def _in_order(breakdown: Breakdown) -> tuple[int, int, int, int, int, int, int]:
    """Return the bytes of a breakdown in the order of `KINDS`."""
    b = breakdown
    return b.weights, b.adapters, b.gradients, b.optimizer, b.activations, b.temporaries, b.other


def _without_sub_kind(kind: str) -> str:
    return kind.partition(":")[0]


def tensors_in(values: Iterable[Any]) -> Iterator[torch.Tensor]:
    """Yield the tensors among `values` and in the lists and tuples among them."""
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from tensors_in(value)


def _with_quantization_state(tensor: torch.Tensor) -> Iterator[torch.Tensor]:
    """Yield `tensor` and, for a bitsandbytes weight, the tensors of its (nested) quantization state."""
    yield tensor
    state = getattr(tensor, "quant_state", None)
    while state is not None:
        yield from tensors_in(vars(state).values())
        state = getattr(state, "state2", None)
