"""Two hundred questions as other tools write them: every word, picture, mark and category, or a line that names it."""

from __future__ import annotations

import random

import pytest

from exchange.foreign import corpus, lost
from steelyard.bank.parse import parse
from steelyard.evidence import Records
from steelyard.exchange import moodle_xml
from steelyard.exchange.export import item
from steelyard.exchange.files import import_plan
from steelyard.exchange.item import PLUGINFILE


@pytest.fixture(scope="module")
def made():
    source = corpus(random.Random(20261201), 200)
    reading = moodle_xml.read(source.data)
    return source, reading, import_plan(reading, "en", "Foreign")


def test_nothing_is_lost_without_a_line_that_names_it(made):
    source, reading, plan = made

    assert reading.errors == []
    assert len(plan.names) + reading.left_out == source.questions
    assert len(plan.names) > 0.9 * source.questions
    assert lost(source, plan.files, "\n".join(note.message for note in reading.notes)) == []


def test_what_was_imported_makes_the_round_trip(made, tmp_path):
    _, _, plan = made
    plan.write(tmp_path / "made")
    told = []
    sent = []
    for name in plan.names:
        result = parse(plan.files[f"{name}.en.md"], f"{name}.en.md", f"made/{name}", "en")
        sent.append(item(result.question, Records({}), tmp_path, PLUGINFILE, told.append))
    again = moodle_xml.read(moodle_xml.write(sent, "Foreign", lambda _, message: told.append(message)))

    assert told == [] and again.errors == [] and again.notes == []
    for before, after in zip(sent, again.items, strict=True):
        assert (after.stem, after.options, after.explanation) == (
            before.stem,
            before.options,
            before.explanation,
        )
        assert (after.title, after.scoring, after.tags) == (before.title, before.scoring, before.tags)
        assert set(after.pictures.values()) == set(before.pictures.values())
