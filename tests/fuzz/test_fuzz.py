"""The fuzzer of `make fuzz`: what it tries can be tried again, and a failure is named and kept."""

from __future__ import annotations

import os
import random
import re
import signal
from itertools import count
from pathlib import Path

import pytest

from fuzz.__main__ import TARGETS, main
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
    assert "no such target: bnak; there are bank, folder, forms, config" in capsys.readouterr().err


def ends_its_process(random: random.Random) -> Trial:
    if random.randrange(10) == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return Trial(b"", "good")


def never_ends(random: random.Random) -> Trial:
    return attempt(b"x", lambda: all(random.random() < 2 for _ in count()))


def test_an_input_that_ends_its_process_is_named_and_the_others_are_tried(capsys):
    status = main(["--seed", "7", "--count", "30", "--processes", "1"], {"deadly": ends_its_process})
    said = capsys.readouterr().out

    deadly = [n for n in range(30) if random.Random(f"deadly 7 {n}").randrange(10) == 0]
    assert status == 1
    assert (
        f"deadly: 30 inputs: {30 - len(deadly)} good, {len(deadly)} ended its process; {len(deadly)} failed"
        in said
    )
    assert re.findall(r"input (\d+), \S+: it ended its process", said) == [str(n) for n in deadly[:5]]


def test_an_input_that_takes_too_much_of_the_processors_time_is_a_failure(capsys, monkeypatch):
    monkeypatch.setattr("fuzz.__main__.HANGS_AFTER", 0.1)

    assert main(["--seed", "7", "--count", "1", "--processes", "1"], {"endless": never_ends}) == 1
    assert "TimeoutError" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["folder", "forms", "config"])
def test_inputs_that_are_the_same_at_every_run_are_answered_as_they_should(name):
    if name == "config":
        pytest.importorskip("transformers")
    trials = [numbered(TARGETS[name], name, 1, number) for number in range(60)]

    assert [(trial.complaints, trial.data[:2000]) for trial in trials if trial.complaints] == []
    assert len({trial.outcome for trial in trials}) > 1
