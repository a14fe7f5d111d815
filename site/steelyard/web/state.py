"""What every page reads and no request changes: the bank, the records, and what follows from both."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from threading import Lock

from flask import current_app

from steelyard import evidence
from steelyard.bank.model import Bank, Claim
from steelyard.evidence import Judgement, Records
try:
    from steelyard.live import Live
except ImportError:  # until the bank lands

    class Live:  # type: ignore[no-redef]
        def __init__(self, root: Path) -> None:
            self.bank = Bank()

from steelyard.settings import Settings

EXTENSION = "steelyard"


@dataclass
class State:
    """One per application."""

    settings: Settings
    live: Live
    _records: Records = field(default_factory=lambda: Records({}))
    _stamp: tuple[tuple[str, int, int], ...] | None = None
    _looked: float = float("-inf")
    _lock: Lock = field(default_factory=Lock)

    @property
    def bank(self) -> Bank:
        """The questions as they stand in the folder, at most a second old."""
        return self.live.bank

    @property
    def records(self) -> Records:
        """The published records, read again when a file of the folder has changed, at most once a second."""
        with self._lock:
            now = time.monotonic()
            if now - self._looked >= 1:
                self._looked = now
                stamp = _stamp(self.settings.results)
                if stamp != self._stamp:
                    self._records, self._stamp = evidence.load(self.settings.results), stamp
            return self._records


def state() -> State:
    """Return the state of the application that handles this request."""
    found: State = current_app.extensions[EXTENSION]
    return found


def judgements(claims: tuple[Claim, ...], records: Records | None = None) -> dict[str, Judgement]:
    """Return the judgement of each claim, by the claim's id, in the order of the claims."""
    records = state().records if records is None else records
    return {claim.id: _judge(_Same(claim, records)) for claim in claims}


@dataclass(frozen=True, eq=False)
class _Same:
    """A claim before one set of records, as a key: the set by identity, for it is never changed in place."""

    claim: Claim
    records: Records

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.records is other.records and self.claim == other.claim

    def __hash__(self) -> int:
        return hash((id(self.records), self.claim.id, self.claim.says))


@lru_cache(maxsize=2048)
def _judge(same: _Same) -> Judgement:
    return evidence.judge(same.claim, same.records)


def _stamp(folder: Path) -> tuple[tuple[str, int, int], ...]:
    found = []
    for path in sorted(folder.rglob("*.json")):
        try:
            status = path.stat()
        except OSError:  # deleted between the listing and the look
            continue
        found.append((str(path), status.st_mtime_ns, status.st_size))
    return tuple(found)
