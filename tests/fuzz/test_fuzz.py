"""The fuzzer of `make fuzz`: what it tries can be tried again, and a failure is named and kept."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from fuzz.__main__ import main
from fuzz.question_files import try_mutant
from fuzz.trial import Trial, attempt, numbered


def even_or_odd(random: random.Random) -> Trial:
    """A target for tests, of which every hundredth input or so fails."""
    number = random.randrange(1000)
    return Trial(str(number).encode(), "odd" if number % 2 else "even", ["below ten"] * (number < 10))


def test_an_input_is_known_by_its_seed_and_number():
    tried = [numbered(try_mutant, "bank", seed, number) for seed in (1, 1, 2) for number in (0, 1)]

    assert tried[:2] == tried[2:4]
    assert len({trial.data for trial in tried}) == 4


def test_whatever_a_target_raises_is_a_complaint():
    trial = attempt(b"x", lambda: 1 / 0)

    assert trial == Trial(b"x", "raised", ["ZeroDivisionError('division by zero')"])


def test_a_failure_ends_with_status_1_its_seed_its_number_and_its_file(capsys):
    status = main(["--seed", "7", "--count", "1200", "--processes", "1"], {"numbers": even_or_odd})
    said = capsys.readouterr().out

    assert status == 1
    assert said.startswith("numbers: seed 7\nnumbers: 1200 inputs: ")
    number, path = re.search(r"seed 7, input (\d+), (\S+): below ten", said).groups()
    failed = numbered(even_or_odd, "numbers", 7, int(number))
    assert failed.complaints == ["below ten"]
    assert Path(path).read_bytes() == failed.data


def test_without_a_failure_the_status_is_0_and_no_time_means_no_input(capsys):
    target = {"numbers": lambda random: Trial(b"", "good")}

    assert main(["--seed", "7", "--seconds", "0", "--processes", "1"], target) == 0
    assert "0 inputs" in capsys.readouterr().out


def test_a_target_that_is_not_there_is_refused(capsys):
    with pytest.raises(SystemExit) as end:
        main(["bnak"])

    assert end.value.code == 2
    assert "no such target: bnak; there are bank" in capsys.readouterr().err
