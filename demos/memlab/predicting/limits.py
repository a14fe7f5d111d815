"""Limits on what one prediction may take, so that no config.json holds a machine up.

A prediction's time and memory follow the number of operators and modules, not their sizes: a public model
takes seconds and less than a GiB. A configuration that asks for a hundred times that is a mistake, or meant
to do harm.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from memlab.options.setup import UsageError
from memlab.results.numbers import in_bytes

CPU_SECONDS = 300
MEMORY_BYTES = 4 * 2**30
"""Of the whole process, libraries included, as the operating system counts what is resident."""

LOOK_SECONDS = 0.25
"""Of computing, between two looks at the clock and the memory."""
MORE_SECONDS = 30
"""How much longer a library may compute before it returns to Python and so notices that the time is up."""


class LimitError(BaseException):
    """A prediction that takes too much. Nobody on the way is to take it for an error of their own."""


@contextmanager
def limited(name: str, cpu_seconds: float = CPU_SECONDS, memory_bytes: int = MEMORY_BYTES) -> Iterator[None]:
    """End what is predicted inside the block when it takes more than this. In the main thread of a process.

    `name` is the model's, for the message. Raises UsageError. Where the system cannot count, as on Windows,
    nothing is limited.
    """
    if sys.platform == "win32":
        yield
        return
    import resource

    def used() -> tuple[float, int]:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)

    def look(*_: object) -> None:
        seconds, resident = used()
        if seconds - before > cpu_seconds:
            raise LimitError(f"more than {cpu_seconds:g} seconds of computing")
        if resident > memory_bytes:
            raise LimitError(f"more than {in_bytes(memory_bytes)} of memory")

    before = used()[0]
    soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    usual = signal.signal(signal.SIGPROF, look)
    signal.setitimer(signal.ITIMER_PROF, LOOK_SECONDS, LOOK_SECONDS)
    try:
        # The system ends a process that never comes back to look.
        last = int(before + cpu_seconds + MORE_SECONDS)
        if hard == resource.RLIM_INFINITY or last < hard:
            resource.setrlimit(resource.RLIMIT_CPU, (last, hard))
        yield
    except (LimitError, MemoryError) as error:
        reason = str(error) if isinstance(error, LimitError) else "more memory than there is"
        raise UsageError(
            f"--model {name}: predicting it takes {reason}; its configuration asks for far more layers or "
            "experts than a public model has"
        ) from None
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, usual)
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))
