"""What a ledger writes down: storages, their births and deaths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Phase = Literal["forward", "backward", "optimizer"]


@dataclass(slots=True, eq=False)
class Entry:
    """One storage: its size, the phase it was born in (None: it was there before), its kind once known.

    A kind may be followed by a colon and a finer name, which `most` tells apart: `gradients:kept`.
    """

    nbytes: int
    born: Phase | Literal["between"] | None
    kind: str | None = None


@dataclass(frozen=True)
class Log:
    """One training step: what is there before it, and each birth (bytes > 0) and death (< 0) in it.

    `starts` says at which event each phase begins.
    """

    before: list[tuple[Any, int]]
    events: list[tuple[Any, int]]
    starts: dict[str, int]
