"""Guess first: a figure is guessed before the answer, and told beside what the scale said."""

from __future__ import annotations

import pytest

from learner import Learner
from records import make_record
from steelyard import store


@pytest.fixture
def weighed(settings, make_app):
    make_record("baseline", peak=1000).write(settings.results / "cpu")
    make_record("lora", peak=750).write(settings.results / "cpu")
    return make_app(settings)


def test_a_guess_is_told_beside_what_was_weighed(weighed):
    learner = Learner(weighed)
    page = learner.start("basics")
    told = learner.answer(page, ["A"], guess="60").text

    assert page.guess == ""
    assert "You guessed 60%" in told and "It weighed 25.0%" in told


def test_the_figure_is_not_on_the_page_before_the_answer(weighed):
    page = Learner(weighed).start("basics")

    assert "Guess first" in page.text
    assert "measured on a CPU: a test's processor" in page.text
    assert "25" not in page.text


def test_an_empty_guess_is_no_guess(weighed):
    learner = Learner(weighed)
    told = learner.answer(learner.start("basics"), ["A"], guess=" ").text

    assert "You guessed" not in told


def test_a_guess_that_is_no_number_is_asked_for_again_with_the_choice_kept(weighed):
    learner = Learner(weighed)
    page = learner.answer(learner.start("basics"), ["A", "B"], guess="a lot")

    assert page.status == 400
    assert page.ticked == {"A", "B"}
    assert page.guess == "a lot"


def test_an_answer_overtaken_by_another_tabs_is_told_so_and_its_guess_is_not_kept(weighed, monkeypatch):
    learner, other = Learner(weighed), Learner(weighed)
    page = learner.start("basics")
    other.client.set_cookie("steelyard", learner.client.get_cookie("steelyard").value)
    append = store.append_answer

    def overtaken(session, **values):
        monkeypatch.undo()
        other.answer(page, ["B"])
        return append(session, **values)

    monkeypatch.setattr(store, "append_answer", overtaken)
    told = learner.answer(page, ["A", "C"], guess="60").text

    assert "Your first answer stands" in told
    assert "You found 0 of 2" in told
    assert "You guessed" not in told


def test_what_is_only_predicted_is_not_guessed(settings, make_app):
    make_record("baseline", peak=1000, device="fake").write(settings.results / "fake")
    make_record("lora", peak=750, device="fake").write(settings.results / "fake")

    assert Learner(make_app(settings)).start("basics").guess is None


def test_without_a_figure_nothing_is_guessed(app):
    learner = Learner(app)
    page = learner.start("basics")

    assert page.guess is None
    assert learner.answer(page, ["A", "C"], guess="nonsense").status == 200
