"""The ledger's log: one entry per storage, and the order of allocations and frees in a training step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Phase = Literal["forward", "backward", "optimizer"]


@dataclass(slots=True, eq=False)
class Entry:
    """One storage. Entries compare by identity: two storages of one size are two entries."""

    nbytes: int
    """The storage's current size in bytes; a resized storage keeps its entry."""
    born: Phase | Literal["between"] | None
    """The phase in which it was allocated, `between` outside all phases, None before the ledger."""
    kind: str | None = None
    """One of `results.record.KINDS`, or None while unknown.

    A sub-kind may follow after a colon (`gradients:kept`); `Ledger.peak_bytes` tells sub-kinds apart,
    breakdowns do not.
    """


@dataclass(frozen=True)
class Log:
    """The allocations and frees of one training step, in their order.

    Storages are identified by keys of any hashable type: the ledger's are `Entry` objects.
    """

    before: list[tuple[Any, int]]
    """(key, bytes) of each storage that is alive before the step."""
    events: list[tuple[Any, int]]
    """(key, change in bytes): positive for an allocation or growth, negative for a free."""
    starts: dict[str, int]
    """The index in `events` at which each phase begins."""
