"""PyTorch's caching allocator for CUDA, as a model: what it takes from a GPU for a log of births and deaths.

Written after `c10/cuda/CUDACachingAllocator.cpp` and the constants of `c10/core/AllocatorConfig.h` (torch
2.13), with their defaults: no limit to splitting, no expandable segments, one stream. Nothing is fitted.
Where the driver puts a segment is not known; here each lies above the last, which decides only between free
blocks of one size.
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
"""What the small pool takes from the GPU at a time (kSmallBuffer)."""
LARGE_SEGMENT = 20 * 1024**2
"""What is taken for a request of 1 to 10 MiB (large_segment_size)."""
MIN_LARGE = 10 * 1024**2
"""From here on a request gets a segment of its own (kMinLargeAlloc) ..."""
ROUND_LARGE = 2 * 1024**2
"""... rounded up to a multiple of this (kRoundLarge)."""

WORKSPACE = 32 * 1024**2
"""Bytes that cuBLAS is given by each thread that uses it, for good: 32 MiB on Hopper and Blackwell.

`parseChosenWorkspaceSize` in `aten/src/ATen/cuda/CublasHandlePool.cpp`; on other generations it is 8,519,680
(`CUBLAS_WORKSPACE_CONFIG=:4096:2:16:8`). cuBLASLt shares it. Autograd runs the backward pass in a thread of
its own, so a training step has two.
"""


@dataclass(slots=True, eq=False)
class Block:
    """A stretch of a segment; its neighbours are those of the same segment."""

    address: int
    size: int
    small: bool
    free: bool = False
    before: Block | None = None
    after: Block | None = None


class Allocator:
    """Serve requests as PyTorch's allocator does, on a GPU with room for all of them."""

    def __init__(self) -> None:
        self.allocated = self.reserved = self.max_allocated = self.max_reserved = 0
        self._top = 0
        # The free blocks of each pool, by size and then by address: the first large enough is the best.
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
            self._put(tail)
        self.allocated += block.size
        self.max_allocated = max(self.max_allocated, self.allocated)
        return block

    def free(self, block: Block) -> None:
        """Take a block back, and join it with its free neighbours."""
        self.allocated -= block.size
        for other in (block.before, block.after):
            if other is not None and other.free:
                self._take(other)
                _join(block, other)
        self._put(block)

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
            taken = SMALL_SEGMENT
        else:
            taken = LARGE_SEGMENT if size < MIN_LARGE else _round_up(size, ROUND_LARGE)
        self.reserved += taken
        self.max_reserved = max(self.max_reserved, self.reserved)
        block = Block(self._top, taken, small)
        self._top += taken
        return block

    def _put(self, block: Block) -> None:
        block.free = True
        insort(self._free[block.small], (block.size, block.address, block))

    def _take(self, block: Block) -> None:
        block.free = False
        pool = self._free[block.small]
        pool.pop(bisect_left(pool, (block.size, block.address)))


def _round_up(nbytes: int, multiple: int) -> int:
    return -(-nbytes // multiple) * multiple


def _join(block: Block, other: Block) -> None:
    """Let `block` take the place of itself and its neighbour."""
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
"""Steps that are run at most before the peak is reset; as a rule the second asks for nothing new any more."""


def run(
    log: Log,
    *,
    states: Iterable[tuple[Any, int]] = (),
    workspace: int = WORKSPACE,
) -> Allocator:
    """Run the step again and again, as training does, until it takes nothing more from the GPU.

    `states` are the optimizer's: they come in the first step only. Returns the allocator, whose peak of
    allocated bytes is that of the last step.
    """
    allocator = Allocator()
    kept = {key: allocator.malloc(nbytes) for key, nbytes in log.before if nbytes}

    def begin(phase: str) -> None:
        if phase in ("forward", "backward"):
            allocator.malloc(workspace)
        else:
            kept.update({key: allocator.malloc(nbytes) for key, nbytes in states if nbytes})

    _step(allocator, log, kept, begin)
    for _ in range(STEPS):
        before = allocator.reserved
        allocator.reset_peak()
        _step(allocator, log, kept, lambda phase: None)
        if allocator.reserved == before:
            break
    return allocator


def _step(allocator: Allocator, log: Log, kept: dict[Any, Block], begin: Callable[[str], None]) -> None:
    phases = {index: name for name, index in log.starts.items()}
    born: dict[Any, Block] = {}
    for index, (key, nbytes) in enumerate(log.events):
        if index in phases:
            begin(phases[index])
        if nbytes > 0 and key not in kept:
            held = born.pop(key, None)
            if held is not None:  # it has grown
                nbytes += held.size
                allocator.free(held)
            born[key] = allocator.malloc(nbytes)
        elif nbytes < 0 and key in born:
            allocator.free(born.pop(key))
    for block in born.values():  # the loss, which the next step's replaces
        allocator.free(block)
