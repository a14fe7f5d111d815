"""An exam from its start to its result, on both databases: saved as one goes, graded once, told at the end."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from exam_files import (
    MINUTES,
    Clock,
    answers,
    attempt_of,
    autosave,
    chosen,
    hand_in,
    submissions,
    write_exams,
)
from learner import Learner, Page
from steelyard import store
from steelyard.settings import Settings
from steelyard.web.app.database import db

pytestmark = pytest.mark.both_databases


@pytest.fixture
def app(settings: Settings, make_app, database_url: str, clock: Clock) -> Flask:
    write_exams(settings.questions)
    return make_app(replace(settings, database_url=database_url))


@pytest.fixture
def learner(app: Flask) -> Learner:
    return Learner(app)


def refresh(app: Flask) -> None:
    assert app.extensions["steelyard"].live_bank.refresh()


def drafts(app: Flask) -> list[str]:
    """Return what every save so far held, in the order of the saves."""
    with app.app_context():
        return list(db.session.scalars(sa.select(store.Draft.chosen).order_by(store.Draft.id)))


# ---- the way through --------------------------------------------------------------------------------------


def test_an_exam_is_taken_saved_changed_and_handed_in(app, learner):
    first = learner.start("basics", "exam")
    second = learner.answer(first, ["A"])
    third = learner.answer(second, ["B"])
    sheet = learner.answer(third, ["A"])
    learner.answer(learner.get(first.url), ["A", "C"])  # thought better of it
    result = hand_in(learner, attempt_of(first))

    assert [page.path.rpartition("/")[2] for page in (first, second, third)] == ["first", "second", "third"]
    assert "not answered yet" not in sheet.text and "Hand in" in sheet.text
    assert "2.5 of 3" in result.text and "You handed in on" in result.text
    assert chosen(app) == {"basics/first": "AC", "basics/second": "B", "basics/third": "A"}
    assert [(end.by, end.submitted) for end in submissions(app)] == [("learner", Clock().moment)]


def test_before_the_end_nothing_is_told_and_nothing_is_graded(app, learner):
    page = learner.start("basics", "exam")
    sheet = learner.answer(learner.answer(learner.answer(page, ["A", "C"]), ["B"]), ["A"])
    again = learner.get(page.url)

    for seen in (page, again, sheet, learner.get("/"), learner.get("/quizzes/basics")):
        assert "Feedback on" not in seen.text and "Right" not in seen.text and "Guess first" not in seen.text
    assert answers(app) == []
    assert learner.get(f"/questions/basics/first?attempt={attempt_of(page)}").ticked == {"A", "C"}


def test_after_the_end_every_question_tells_its_feedback_and_leads_on(app, learner):
    page = learner.start("basics", "exam")
    learner.answer(page, ["A", "B"])
    result = hand_in(learner, attempt_of(page), confirmed="yes")
    told = learner.get(page.url)

    assert "Partly right" not in told.text and "Feedback on D of First." in told.text
    assert (
        "Next question" in told.text and f"/questions/basics/second?attempt={attempt_of(page)}" in told.links
    )
    assert learner.get(page.url.replace("first", "second")).outcome == "Not answered"
    assert "By technique" in result.text


def test_what_is_blank_is_asked_about_once_without_a_script_and_then_answered_by_a_blank(app, learner):
    page = learner.start("basics", "exam")
    learner.answer(page, ["A", "C"])
    asked = hand_in(learner, attempt_of(page))
    count = len(submissions(app))
    result = Page(
        learner.client.post(f"/attempts/{attempt_of(page)}/submit", data=asked.hidden, follow_redirects=True)
    )

    assert "2 questions are not answered yet" in asked.text and count == 0
    assert "1 of 3" in result.text and "not answered" in result.text
    assert [(a.question, a.chosen, a.score) for a in answers(app)] == [
        ("basics/first", "AC", 1.0),
        ("basics/second", "", 0.0),
        ("basics/third", "", 0.0),
    ]


def test_a_closed_tab_is_resumed_with_everything_that_was_saved(app, learner):
    page = learner.start("basics", "exam")
    learner.answer(page, ["A", "C"])
    home = learner.get("/")
    sheet = learner.get(next(url for url in home.links if url.startswith("/attempts/")))

    assert "1 of 3 answered" in home.text
    assert sheet.path == f"/attempts/{attempt_of(page)}"
    assert learner.get(page.url).ticked == {"A", "C"}
    assert learner.get(page.url).choices == page.choices  # the order was drawn once


def test_a_choice_can_be_taken_back(app, learner):
    page = learner.start("basics", "exam")
    learner.answer(page, ["A"])
    learner.answer(learner.get(page.url), [])
    sheet = learner.get(f"/attempts/{attempt_of(page)}")
    hand_in(learner, attempt_of(page), confirmed="yes")

    assert sheet.text.count("not answered yet") == 3
    assert chosen(app)["basics/first"] == ""


@pytest.mark.parametrize(
    ("letters", "message"), [("AZ", "not among the choices"), ("AB", "takes one answer")]
)
def test_what_cannot_be_an_answer_is_not_saved_and_the_form_says_why(app, learner, letters, message):
    page = learner.answer(learner.start("basics", "exam"), ["A", "C"])  # the second question takes one answer
    refused = learner.answer(page, list(letters))

    assert refused.status == 400 and message in refused.text
    assert autosave(learner, page, letters).status == 400
    assert learner.get(page.url).ticked == set()


def test_a_page_of_an_exam_is_never_an_old_one_from_the_browsers_memory(learner):
    page = learner.start("basics", "exam")
    sheet = learner.get(f"/attempts/{attempt_of(page)}")

    for seen in (page, sheet):
        assert seen.response.headers["Cache-Control"] == "no-store"
        assert "connect-src 'self'" in seen.response.headers["Content-Security-Policy"]


def test_drafts_are_added_and_nothing_is_changed(app, learner):
    statements: list[str] = []
    with app.app_context():
        sa.event.listen(
            db.engine, "before_cursor_execute", lambda *a: statements.append(a[2].split()[0].upper())
        )
    page = learner.start("basics", "exam")
    for letters in ("A", "AB", "AC"):
        learner.answer(page, list(letters))
    hand_in(learner, attempt_of(page), confirmed="yes")

    assert "INSERT" in statements and not {"UPDATE", "DELETE", "REPLACE"} & set(statements)
    assert chosen(app)["basics/first"] == "AC"


def test_a_question_of_an_exam_takes_at_most_three_statements(app, learner):
    page = learner.answer(learner.start("basics", "exam"), ["A"])
    statements: list[str] = []
    with app.app_context():
        sa.event.listen(db.engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
    learner.get(page.url)

    assert len(statements) == 1


# ---- autosave ---------------------------------------------------------------------------------------------


def test_the_scripts_saves_are_in_the_store_and_answered_without_a_page(app, learner):
    page = learner.start("basics", "exam")
    saved = [autosave(learner, page, letters) for letters in ("A", "AB", "AC")]

    assert [(each.status, each.response.data) for each in saved] == [(204, b"")] * 3
    assert drafts(app) == ["A", "AB", "AC"]
    assert learner.get(page.url).ticked == {"A", "C"}


def test_a_save_that_arrives_after_a_later_one_of_its_page_changes_nothing(app, learner):
    """A browser gives a request up after a while and sends the next; the first may be handled last."""
    page = learner.start("basics", "exam")
    sent = [
        autosave(learner, page, letters, tab=tab * 16, nth=nth)
        for letters, tab, nth in (("A", "1", 1), ("AC", "1", 3), ("B", "1", 2), ("BC", "2", 1), ("C", "1", 2))
    ]
    by_button = learner.answer(page, ["B"], tab="2" * 16, nth="2")
    late = autosave(learner, page, "C", tab="2" * 16, nth=1)

    assert [each.status for each in (*sent, late)] == [204] * 6 and by_button.status == 200
    assert drafts(app) == ["A", "AC", "BC", "B"]


@pytest.mark.parametrize(("tab", "nth"), [("x" * 16, 1), ("1" * 16, 0), ("1" * 16, "1e9"), ("1" * 15, 1)])
def test_a_save_whose_number_is_none_is_refused(app, learner, tab, nth):
    page = learner.start("basics", "exam")

    assert autosave(learner, page, "A", tab=tab, nth=nth).status == 400
    assert drafts(app) == []


def test_a_save_says_in_which_language_the_question_was_read(app, learner):
    page = learner.start("basics", "exam")
    learner.answer(learner.get(f"{page.url}&lang=ja"), ["A"])
    hand_in(learner, attempt_of(page), confirmed="yes")

    assert [answer.language for answer in answers(app)] == ["ja", "en", "en"]


def test_a_save_without_a_token_is_refused(app, learner):
    page = learner.start("basics", "exam")
    page.hidden["csrf_token"] = "stale"

    assert autosave(learner, page, "A").status == 400
    assert learner.get(page.url).ticked == set()


# ---- the end, in every way it can come --------------------------------------------------------------------


def test_the_time_that_is_left_is_the_servers(learner, clock):
    page = learner.start("basics", "exam")
    clock.go(minutes=3.5)
    later = learner.get(page.url)

    assert f"Time left {MINUTES}:00" in page.text
    assert "Time left 26:30" in later.text and 'datetime="PT1590S"' in later.response.text


def test_an_exam_whose_time_is_over_is_ended_by_whoever_looks_and_counts_what_was_saved(app, learner, clock):
    page = learner.start("basics", "exam")
    learner.answer(page, ["A", "C"])
    clock.go(minutes=MINUTES + 1)
    home = learner.get("/")
    result = learner.get(page.url)

    assert "last result: 1 of 3" in home.text
    assert result.outcome == "Right"
    (end,) = submissions(app)
    assert (end.by, end.submitted) == ("deadline", Clock().moment + timedelta(minutes=MINUTES))
    assert {answer.answered for answer in answers(app)} == {end.submitted}


@pytest.mark.parametrize(("seconds", "counts"), [(9, True), (10, False), (3600, False)])
def test_what_was_sent_in_time_may_arrive_a_little_later_and_no_more(app, learner, clock, seconds, counts):
    page = learner.start("basics", "exam")
    learner.answer(page, ["B"])
    clock.go(seconds, minutes=MINUTES)
    sent = learner.answer(page, ["A", "C"])
    clock.go(minutes=5)
    result = learner.get(f"/attempts/{attempt_of(page)}")

    assert ("too late" in sent.text) is not counts
    assert ("what was saved before does" in sent.text) is not counts
    assert ("1 of 3" if counts else "0 of 3") in result.text
    assert chosen(app)["basics/first"] == ("AC" if counts else "B")


def test_a_late_save_of_the_script_is_told_what_counts(app, learner, clock):
    page = learner.start("basics", "exam")
    autosave(learner, page, "A")
    clock.go(minutes=MINUTES + 1)
    late = autosave(learner, page, "AC")
    same = autosave(learner, page, "A")

    assert (late.status, same.status) == (409, 409)
    assert (
        "came too late" in late.response.text and "had been saved before, and it counts" in same.response.text
    )
    assert late.response.mimetype == "text/plain"
    assert chosen(app)["basics/first"] == "A"


def test_between_deadline_and_end_the_sheet_says_so_and_no_question_is_shown(app, learner, clock):
    page = learner.start("basics", "exam")
    clock.go(5, minutes=MINUTES)
    sheet = learner.get(page.url)

    assert sheet.path.startswith("/attempts/") and "The time is up" in sheet.text
    assert not any(url.startswith("/questions/") for url in sheet.links)
    assert submissions(app) == []


def test_an_exam_handed_in_late_ends_at_its_deadline(app, learner, clock):
    page = learner.start("basics", "exam")
    sheet = learner.get(f"/attempts/{attempt_of(page)}")
    clock.go(5, minutes=MINUTES)
    url = f"/attempts/{attempt_of(page)}/submit"
    result = Page(learner.client.post(url, data=sheet.hidden, follow_redirects=True))

    assert (
        "0 of 3" in result.text and "The time was up on" in result.text
    )  # no question about blanks any more
    assert [end.by for end in submissions(app)] == ["deadline"]


def test_an_exam_handed_in_twice_is_graded_once(app, learner):
    page = learner.start("basics", "exam")
    learner.answer(page, ["A", "C"])
    first = hand_in(learner, attempt_of(page), confirmed="yes")
    url = f"/attempts/{attempt_of(page)}/submit"
    second = Page(learner.client.post(url, data=page.hidden, follow_redirects=True))

    assert second.path == first.path and "had been handed in already" in second.text
    assert len(answers(app)) == 3 and len(submissions(app)) == 1


def test_a_second_tab_that_goes_on_after_the_end_is_told_what_counts(app, learner):
    page = learner.start("basics", "exam")
    learner.answer(page, ["A"])
    hand_in(learner, attempt_of(page), confirmed="yes")
    late = learner.answer(page, ["A", "C"])

    assert (
        "had been handed in" in late.text and "too late" in late.text and late.path.startswith("/attempts/")
    )
    assert "had been saved before, and it counts" in learner.answer(page, ["A"]).text
    assert chosen(app)["basics/first"] == "A"


def test_of_two_tabs_on_one_question_the_last_save_counts(app, learner):
    one = learner.start("basics", "exam")
    other = learner.get(one.url)
    for page, letters in ((one, "A"), (other, "B"), (one, "AC"), (one, "A")):
        learner.answer(page, list(letters))
    hand_in(learner, attempt_of(one), confirmed="yes")

    assert chosen(app)["basics/first"] == "A"


def test_an_exam_is_graded_by_the_version_that_it_began_with(app, learner, settings):
    page = learner.start("basics", "exam")
    for path in settings.questions.glob("basics/first.*.md"):
        path.write_text(path.read_text(encoding="utf-8").replace("\nA, C\n", "\nB\n"), encoding="utf-8")
    refresh(app)
    learner.answer(learner.get(page.url), ["A", "C"])
    hand_in(learner, attempt_of(page), confirmed="yes")

    assert [answer.score for answer in answers(app)] == [1.0, 0.0, 0.0]


def test_an_exam_outlives_its_files(app, learner, settings):
    page = learner.start("basics", "exam")
    for path in settings.questions.glob("basics/*.md"):
        path.unlink()
    refresh(app)
    learner.answer(learner.get(page.url), ["A", "C"])
    result = hand_in(learner, attempt_of(page), confirmed="yes")

    assert "1 of 3" in result.text and "Practise the wrong ones" not in result.text


def test_a_stale_token_keeps_what_was_chosen(app, learner):
    page = learner.start("basics", "exam")
    page.hidden["csrf_token"] = "stale"
    again = learner.answer(page, ["A", "C"])

    assert again.status == 400 and again.ticked == {"A", "C"} and "send it again" in again.text
    learner.answer(again, again.ticked)
    assert learner.get(page.url).ticked == {"A", "C"}


def test_a_stale_token_does_not_hand_in_and_loses_nothing(app, learner):
    page = learner.start("basics", "exam")
    learner.answer(page, ["A", "C"])
    sheet = hand_in(learner, attempt_of(page), csrf_token="stale")

    assert sheet.status == 400 and "not handed in yet" in sheet.text
    assert submissions(app) == []
    assert "1 of 3" in hand_in(learner, attempt_of(page), confirmed="yes").text


def test_a_clock_that_jumps_back_and_forth_loses_nothing(app, learner, clock):
    page = learner.start("basics", "exam")
    learner.answer(page, ["B"])
    clock.go(minutes=-600)
    early = learner.answer(page, ["A", "C"])  # later, whatever the clock says
    clock.go(minutes=600 + MINUTES / 2)
    clock.go(minutes=-MINUTES)
    hand_in(learner, attempt_of(page), confirmed="yes")

    assert early.status == 200
    assert chosen(app)["basics/first"] == "AC"


def test_a_clock_that_jumps_over_the_end_ends_the_exam_with_all_that_was_saved(app, learner, clock):
    page = learner.start("basics", "exam")
    autosave(learner, page, "AC")
    clock.go(minutes=10_000)
    learner.get("/")
    clock.go(minutes=-10_000)
    late = learner.answer(page, ["B"])

    assert chosen(app)["basics/first"] == "AC"
    assert "The time was up" in late.text


# ---- somebody else, nobody any more -----------------------------------------------------------------------


def test_somebody_elses_exam_is_neither_shown_nor_saved_nor_handed_in(app, learner):
    page = learner.start("basics", "exam")
    other = Learner(app)
    page.hidden["csrf_token"] = other.get("/quizzes/basics").hidden["csrf_token"]
    attempt = attempt_of(page)
    seen = [
        other.get(f"/attempts/{attempt}"),
        other.answer(page, ["A"]),
        autosave(other, page, "A"),
        Page(other.client.post(f"/attempts/{attempt}/submit", data=page.hidden)),
        Page(other.client.post(f"/attempts/{attempt}/retake", data=page.hidden)),
    ]

    assert [each.status for each in seen] == [404] * 5
    assert "can be seen only by the one who began it" in seen[0].text
    assert learner.get(page.url).ticked == set() and submissions(app) == []


def test_an_exam_of_a_learner_who_was_deleted_leads_on_instead(app, learner):
    page = learner.start("basics", "exam")
    sheet = learner.get(f"/attempts/{attempt_of(page)}")
    with app.app_context():
        db.session.execute(sa.delete(store.Learner))
        db.session.commit()
    saved = learner.answer(page, ["A"])
    ended = Page(learner.client.post(f"/attempts/{attempt_of(page)}/submit", data=sheet.hidden))

    for gone in (saved, ended, learner.get(f"/attempts/{attempt_of(page)}")):
        assert gone.status == 404 and "This attempt is not here" in gone.text
    assert "/quizzes/basics" in saved.links
    assert answers(app) == []


# ---- taking it again --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["practice", "exam"])
def test_the_wrong_ones_are_practised_again_and_no_others(app, learner, mode):
    page = learner.start("basics", mode)
    attempt = attempt_of(page)
    for letters in ("AC", "A", "A"):
        page = learner.get(f"/attempts/{attempt}") if mode == "practice" else page
        page = learner.answer(page, list(letters))
    result = hand_in(learner, attempt) if mode == "exam" else learner.get(f"/attempts/{attempt}")
    url = f"/attempts/{attempt}/retake"
    again = Page(learner.client.post(url, data=result.hidden, follow_redirects=True))
    told = learner.answer(again, ["B"])
    last = learner.next(told)

    assert "Practise the wrong ones" in result.text
    assert [again.path, last.path] == ["/questions/basics/second", "/questions/basics/third"]
    assert told.outcome == "Right"  # it is practice: told at once
    assert "2 of 2" in learner.next(learner.answer(last, ["A", "C"])).text


def test_there_is_nothing_to_practise_again_when_all_is_right_or_not_over(app, learner):
    page = learner.start("basics", "exam")
    url = f"/attempts/{attempt_of(page)}/retake"
    early = Page(learner.client.post(url, data=page.hidden, follow_redirects=True))
    for letters in ("AC", "B", "AC"):
        page = learner.answer(page, list(letters))
    result = hand_in(learner, early.path.rpartition("/")[2])

    assert early.path.startswith("/attempts/") and "Hand in" in early.text
    assert "3 of 3" in result.text and "Practise the wrong ones" not in result.text


def test_a_mode_that_does_not_exist_is_refused(app, learner):
    assert learner.start("basics", "cheating").status == 400
    assert learner.start("basics", "").path == "/questions/basics/first"
