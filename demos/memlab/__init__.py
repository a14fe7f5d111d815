"""The harness that the demo scripts share: it measures what one training step holds in memory.

A script of your own needs two names of it: `from memlab import Demo, launch`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memlab.options.demo import Demo

__all__ = ["Demo"]


def __getattr__(name: str) -> Any:
    """Import `Demo` when it is asked for: whoever only reads records does without it."""
    if name != "Demo":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from memlab.options.demo import Demo

    return Demo
