"""The counters of the rate limits, in this process's memory."""

from __future__ import annotations

import time
from threading import Lock

from limits.storage import Storage

SWEEP_SECONDS = 60.0
"""How often counters that are over are dropped at most."""


class Counters(Storage):
    """Counts for fixed windows. The library's own memory storage starts a thread for each count.

    That thread looks at every counter there is, so in a crowd of two thousand learners each form that is sent
    would cost as much as two thousand looks.
    """

    STORAGE_SCHEME = ["counters"]  # noqa: RUF012 (as the library has it)

    def __init__(self, uri: str | None = None, wrap_exceptions: bool = False, **options: float | str | bool):
        super().__init__(uri, wrap_exceptions, **options)
        self._lock = Lock()
        self._counts: dict[str, tuple[int, float]] = {}
        """By key: the count, and when its window ends."""
        self._swept = 0.0

    @property
    def base_exceptions(self) -> type[Exception]:
        return ValueError

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Add to a counter and return it; one whose window is over begins a new one of `expiry` seconds."""
        now = time.time()
        with self._lock:
            if now - self._swept >= SWEEP_SECONDS:
                self._counts = {key: kept for key, kept in self._counts.items() if kept[1] > now}
                self._swept = now
            count, ends = self._counts.get(key, (0, now))
            if ends <= now:
                count, ends = 0, now + expiry
            self._counts[key] = count + amount, ends
        return count + amount

    def get(self, key: str) -> int:
        """Return a counter; 0 where its window is over."""
        count, ends = self._counts.get(key, (0, 0.0))
        return count if ends > time.time() else 0

    def get_expiry(self, key: str) -> float:
        """Return when a counter's window ends, in seconds since the epoch."""
        return self._counts.get(key, (0, time.time()))[1]

    def check(self) -> bool:
        return True

    def reset(self) -> int:
        """Forget every counter and return how many there were."""
        with self._lock:
            forgotten, self._counts = len(self._counts), {}
        return forgotten

    def clear(self, key: str) -> None:
        """Forget one counter."""
        with self._lock:
            self._counts.pop(key, None)
