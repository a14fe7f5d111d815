"""What torch's own profiler says of a step's memory: a count that owes nothing to the ledger."""

from __future__ import annotations

from collections.abc import Callable

from torch.profiler import ProfilerActivity, profile


def profiled_peak(step: Callable[[], object]) -> int:
    """Return the highest sum of torch's allocation events during `step`, above what was there before.

    The CPU's allocator reports each event itself, without a dispatch mode.
    """
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    total = highest = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        total += event.nbytes()
        highest = max(highest, total)
    return highest
