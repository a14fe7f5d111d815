"""No file breaks the bank: whatever a keyboard, an editor or a disk does to one, it parses or gets problems."""

from __future__ import annotations

from collections import Counter

from fuzz.question_files import try_mutant
from fuzz.trial import numbered

COUNT = 2000
"""Of inputs that are the same at every run; `make fuzz` tries others every day, and many more."""


def test_mutated_files_parse_or_get_problems_inside_the_file():
    trials = [numbered(try_mutant, "bank", 1, number) for number in range(COUNT)]
    outcomes = Counter(trial.outcome for trial in trials)

    assert [(trial.complaints, trial.data) for trial in trials if trial.complaints][:5] == []
    assert outcomes["parsed"] > COUNT / 10 and outcomes["problems"] > COUNT / 10
