"""One record for all ranks of a run."""

from __future__ import annotations

from memlab.results.record import Record


def of_all(records: list[Record]) -> Record:
    """Return one record for all ranks: the heaviest rank's, with the slowest one's time.

    What it says of memory was measured at one instant in one rank; nothing is put together from several.
    The states are those of the rank that keeps most.
    """
    heaviest = max(records, key=lambda record: record.memory.peak_bytes or 0)
    states = max((r.states for r in records if r.states), key=lambda states: states.total, default=None)
    timed = [record.speed for record in records if record.speed.step_seconds]
    speed = max(timed, key=lambda s: s.step_seconds.median if s.step_seconds else 0, default=None)
    if speed is not None and speed.tokens_per_second is not None:
        speed = speed.model_copy(update={"tokens_per_second": speed.tokens_per_second * heaviest.setup.ranks})
    return heaviest.model_copy(
        update={
            "setup": heaviest.setup.model_copy(update={"rank_index": None}),
            "states": states,
            "speed": speed or heaviest.speed,
        }
    )
