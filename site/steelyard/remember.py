"""A cache of results for an immutable value, kept for as long as that value lives."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")


def remembered(
    most: int, by: Literal["value", "identity"] = "value"
) -> Callable[[Callable[Concatenate[T, P], R]], Callable[Concatenate[T, P], R]]:
    """Let a function keep the latest `most` of its results for each value of its first argument.

    They are kept on the value, as `functools.cached_property` does it, and go when it goes: records that were
    read anew leave nothing behind. No result may refer to the value itself. The other arguments are compared
    by value, and so have to be hashable; or by identity, for what is never changed in place: those that are
    positional.
    """

    def decorate(function: Callable[Concatenate[T, P], R]) -> Callable[Concatenate[T, P], R]:
        name = f"_remembered {function.__module__}.{function.__qualname__}"

        @wraps(function)
        def call(value: T, /, *rest: P.args, **named: P.kwargs) -> R:
            kept = vars(value)
            if name not in kept:
                here: Any = weakref.ref(value)

                @lru_cache(most)
                def remember(*keys: Any, **named: Any) -> R:
                    return function(
                        here(), *(key.value if by == "identity" else key for key in keys), **named
                    )

                kept.setdefault(name, remember)
            keys = map(_Identity, rest) if by == "identity" else rest
            result: R = kept[name](*keys, **named)
            return result

        return call

    return decorate


class _Identity:
    """A key that is equal only to that of the very same object, which it keeps alive."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)
