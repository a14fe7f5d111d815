"""A model of PyTorch's caching allocator for CUDA: what it reserves for a log of allocations and frees.

Written after `c10/cuda/CUDACachingAllocator.cpp` and the constants of `c10/core/AllocatorConfig.h` (torch
2.13), with their defaults: no limit to splitting, no expandable segments, one stream. Nothing is fitted.
The addresses that the driver returns are not known; here each segment lies above the last, which decides only
between free blocks of one size.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from memlab.measuring.log import Log

MIN_BLOCK = 512
"""Bytes to which every request is rounded up (kMinBlockSize)."""
SMALL = 1024**2
"""The largest request that is served from the small pool (kSmallSize)."""
SMALL_SEGMENT = 2 * 1024**2
"""Bytes of a segment of the small pool (kSmallBuffer)."""
LARGE_SEGMENT = 20 * 1024**2
"""Bytes of the segment that serves a request of 1 to 10 MiB (large_segment_size)."""
MIN_LARGE = 10 * 1024**2
"""The smallest request, in bytes, that gets a segment of its own (kMinLargeAlloc) ..."""
ROUND_LARGE = 2 * 1024**2
"""... rounded up to a multiple of this (kRoundLarge)."""

WORKSPACE = 32 * 1024**2
"""Bytes of cuBLAS's workspace, one for each thread that uses it, never freed: 32 MiB on Hopper and Blackwell.

`parseChosenWorkspaceSize` in `aten/src/ATen/cuda/CublasHandlePool.cpp`; on other generations it is 8,519,680
(`CUBLAS_WORKSPACE_CONFIG=:4096:2:16:8`). cuBLASLt shares it. Autograd runs the backward pass in a thread of
its own, so a training step has two.
"""


@dataclass(slots=True, eq=False)
class Block:
    """A part of a segment, free or in use. Address and size are bytes."""

    address: int
    size: int
    small: bool
    """Whether its segment belongs to the pool of small requests."""
    free: bool = False
    before: Block | None = None
    after: Block | None = None
    """Its neighbours in the same segment."""


class Allocator:
    """Serve requests as PyTorch's allocator does, on a GPU with memory for all of them.

    `allocated` and `reserved` are the bytes of blocks in use and of segments, `max_allocated` and
    `max_reserved` their peaks, as `torch.cuda.memory_allocated` and its relatives report them.
    """

    def __init__(self) -> None:
        self.allocated = self.reserved = self.max_allocated = self.max_reserved = 0
        self._top = 0
        # The free blocks of each pool, by size and then by address: best fit is the first large enough.
        self._free: dict[bool, list[tuple[int, int, Block]]] = {True: [], False: []}

    def malloc(self, nbytes: int) -> Block:
        """Return the block that serves a request of `nbytes`, at least 1."""
        size = _round_up(nbytes, MIN_BLOCK)
        block = self._best_free(size) or self._new_segment(size)
        rest = block.size - size
        if rest >= MIN_BLOCK if block.small else rest > SMALL:
            tail = Block(block.address + size, rest, block.small, before=block, after=block.after)
            if block.after is not None:
                block.after.before = tail
            block.size, block.after = size, tail
            self._add_free(tail)
        self.allocated += block.size
        self.max_allocated = max(self.max_allocated, self.allocated)
        return block

    def free(self, block: Block) -> None:
        """Take a block back, and join it with its free neighbours."""
        self.allocated -= block.size
        for other in (block.before, block.after):
            if other is not None and other.free:
                self._remove_free(other)
                _join(block, other)
        self._add_free(block)

    def reset_peak(self) -> None:
        """Forget the peak of allocated bytes, as `torch.cuda.reset_peak_memory_stats` does."""
        self.max_allocated = self.allocated

    def _best_free(self, size: int) -> Block | None:
        pool = self._free[size <= SMALL]
        index = bisect_left(pool, (size,))
        if index == len(pool):
            return None
        block = pool.pop(index)[2]
        block.free = False
        return block

    def _new_segment(self, size: int) -> Block:
        small = size <= SMALL
        if small:
            segment_bytes = SMALL_SEGMENT
        else:
            segment_bytes = LARGE_SEGMENT if size < MIN_LARGE else _round_up(size, ROUND_LARGE)
        self.reserved += segment_bytes
        self.max_reserved = max(self.max_reserved, self.reserved)
        block = Block(self._top, segment_bytes, small)
        self._top += segment_bytes
        return block

    def _add_free(self, block: Block) -> None:
        block.free = True
        insort(self._free[block.small], (block.size, block.address, block))

    def _remove_free(self, block: Block) -> None:
        block.free = False
        pool = self._free[block.small]
        pool.pop(bisect_left(pool, (block.size, block.address)))


def _round_up(nbytes: int, multiple: int) -> int:
    return -(-nbytes // multiple) * multiple


def _join(block: Block, other: Block) -> None:
    """Extend `block` over its neighbour `other`."""
    if block.before is other:
        block.address, block.before = other.address, other.before
        if block.before is not None:
            block.before.after = block
    else:
        block.after = other.after
        if block.after is not None:
            block.after.before = block
    block.size += other.size


# ---- a training step -------------------------------------------------------------------------------------

STEPS = 4
"""At most so many steps after the first; as a rule the second reserves nothing more."""


def run(
    log: Log,
    *,
    states: Iterable[tuple[Any, int]] = (),
    workspace: int = WORKSPACE,
) -> Allocator:
    """Repeat the step, as training does, until it reserves nothing more on the GPU.

    `states` are the (key, bytes) of the optimizer's states, which are allocated in the first step only;
    `workspace` is the size of cuBLAS's workspace. Returns the allocator, whose `max_allocated` is the peak of
    the last step and whose `max_reserved` is that of all steps.
    """
    allocator = Allocator()
    persistent = {key: allocator.malloc(nbytes) for key, nbytes in log.before if nbytes}

    def begin(phase: str) -> None:
        if phase in ("forward", "backward"):
            allocator.malloc(workspace)
        else:
            persistent.update({key: allocator.malloc(nbytes) for key, nbytes in states if nbytes})

    _step(allocator, log, persistent, begin)
    for _ in range(STEPS):
        before = allocator.reserved
        allocator.reset_peak()
        _step(allocator, log, persistent, lambda phase: None)
        if allocator.reserved == before:
            break
    return allocator


def _step(allocator: Allocator, log: Log, persistent: dict[Any, Block], begin: Callable[[str], None]) -> None:
    phases = {index: name for name, index in log.starts.items()}
    allocated: dict[Any, Block] = {}
    for index, (key, nbytes) in enumerate(log.events):
        if index in phases:
            begin(phases[index])
        if nbytes > 0 and key not in persistent:
            grown = allocated.pop(key, None)
            if grown is not None:
                nbytes += grown.size
                allocator.free(grown)
            allocated[key] = allocator.malloc(nbytes)
        elif nbytes < 0 and key in allocated:
            allocator.free(allocated.pop(key))
    for block in allocated.values():  # the loss, which the next step's replaces
        allocator.free(block)
