"""Rate limits: how often a view may be asked within a window, counted in this process's memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from threading import Lock
from typing import Any, TypeVar, cast

from flask import Response, abort, after_this_request
from limits import parse
from limits.storage import Storage
from limits.strategies import FixedWindowRateLimiter

View = TypeVar("View", bound=Callable[..., Any])

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


class Limiter:
    """Lets views be asked so often and no more; whoever goes on asking is answered with 429."""

    def __init__(self) -> None:
        self._counters = Counters()
        self.windows = FixedWindowRateLimiter(self._counters)

    def shared_limit(
        self,
        amount: str,
        *,
        scope: str,
        key_func: Callable[[], str],
        exempt_when: Callable[[], bool] = lambda: False,
        deduct_when: Callable[[Response], bool] | None = None,
    ) -> Callable[[View], View]:
        """Return a decorator by which all views of a `scope` count together, for each key of a request.

        `amount` is worded as in "60 per minute". Nothing counts where `exempt_when` is true or the key is
        empty; with `deduct_when` a request counts by what is answered.
        """
        limit = parse(amount)

        def check() -> None:
            key = "" if exempt_when() else key_func()
            if not key:
                return
            if not (self.windows.test if deduct_when else self.windows.hit)(limit, key, scope):
                abort(429)
            if deduct_when:

                @after_this_request
                def deduct(response: Response) -> Response:
                    if deduct_when(response):
                        self.windows.hit(limit, key, scope)
                    return response

        def decorate(view: View) -> View:
            @wraps(view)
            def counted(*args: Any, **kwargs: Any) -> Any:
                check()
                return view(*args, **kwargs)

            return cast(View, counted)

        return decorate

    def reset(self) -> None:
        """Forget what was counted."""
        self._counters.reset()
