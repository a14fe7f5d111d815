"""The median over repeats with its spread, as numbers and as the text of a table's cell."""

from __future__ import annotations

from flask_babel import gettext as _

from memlab.results.comparing import is_time, median_saving, times_compare
from steelyard.evidence import Group, metric
from steelyard.web.text import numbers
from steelyard.web.text.vocabulary import change_words, formatter

STEP = "speed.step_seconds.median"
HELD_OUT = "learning.eval_loss_after"


def values(group: Group, path: str) -> list[float]:
    """Return a number of the records, of every repeat that has it."""
    return group.values(lambda record: metric(record, path))


def median(group: Group, path: str) -> float | None:
    """Return the median over the repeats; None if none has the number."""
    return group.median(lambda record: metric(record, path))


def spread(group: Group, path: str) -> tuple[float, float] | None:
    """Return the least and the most of the repeats; None if none has the number."""
    # Steps of one run lie further apart than runs do, so the spread of a time is theirs.
    ends = ("speed.step_seconds.min", "speed.step_seconds.max") if path == STEP else (path,)
    measured = [value for end in ends for value in values(group, end)]
    return (min(measured), max(measured)) if measured else None


def cell(group: Group, path: str) -> str:
    """Return the median, with the spread in brackets where there is one; a dash for no measurement."""
    middle, ends = median(group, path), spread(group, path)
    if middle is None or ends is None:
        return "–"
    return ranged(*map(formatter(path), (middle, *ends)))


def ranged(middle: str, low: str, high: str) -> str:
    """Return a median with its spread, once written: without the latter where it does not show."""
    return middle if low == high else _("%(median)s (%(low)s to %(high)s)", median=middle, low=low, high=high)


def changed(reference: Group, group: Group, path: str) -> str:
    """Return how far repeats lie from those that they are compared with; a dash where that says nothing."""
    if is_time(path) and not times_compare(reference.first, group.first):
        return "–"
    if "loss" in path:
        before, after = median(reference, path), median(group, path)
        if before is None or after is None:
            return "–"
        same = numbers.loss(before) == numbers.loss(after)
        return _("the same") if same else numbers.difference(after - before)
    saved = saved_of(reference, group, path)
    if saved is None:
        return "–"
    return _("the same") if not saved else change_words(saved)


def saved_of(reference: Group, group: Group, path: str) -> float | None:
    """Return the fraction of a number that repeats save of those that they are compared with."""
    return median_saving(group, reference, lambda record: metric(record, path))
