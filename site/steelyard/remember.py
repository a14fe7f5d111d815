"""What follows from a value that is never changed in place, kept for as long as that value lives."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")


def remembered(most: int) -> Callable[[Callable[Concatenate[T, P], R]], Callable[Concatenate[T, P], R]]:
    """Let a function keep the latest `most` of its results for each value of its first argument.

    They are kept on the value, as `functools.cached_property` does it, and go when it goes: records that were
    read anew leave nothing behind. No result may refer to the value itself. The other arguments are hashable.
    """

    def decorate(function: Callable[Concatenate[T, P], R]) -> Callable[Concatenate[T, P], R]:
        name = f"_remembered {function.__module__}.{function.__qualname__}"

        @wraps(function)
        def call(value: T, /, *rest: P.args, **named: P.kwargs) -> R:
            kept = vars(value)
            if name not in kept:
                here: Any = weakref.ref(value)
                kept.setdefault(
                    name, lru_cache(most)(lambda *rest, **named: function(here(), *rest, **named))
                )
            result: R = kept[name](*rest, **named)
            return result

        return call

    return decorate
