"""A quiz that is nothing but an exam: shown to nobody else, open for its time, and silent until all are done."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256

import pytest
import sqlalchemy as sa
from flask import Flask

from exam_files import CLOSES, MINUTES, OPENS, Clock, attempt_of, autosave, chosen, hand_in, write_exams
from learner import Learner, Page
from steelyard import exam_lifecycle, store
from steelyard.bank.model import Exam
from steelyard.settings import Settings
from steelyard.store import classes, exam_starts
from steelyard.web.app.database import db
from steelyard.web.app.state import State
from steelyard.web.quiz import attempt_ids

SECRETS = ("Final one", "Final two", "Final three", "Feedback on", "Choice A of")


@pytest.fixture
def app(settings: Settings, make_app, database_url: str, clock: Clock) -> Flask:
    write_exams(settings.questions)
    picture = "<svg xmlns='http://www.w3.org/2000/svg'/>"
    for name in ("stem", "feedback"):
        (settings.questions / "final" / f"{name}.svg").write_text(picture, encoding="utf-8")
    (settings.questions / "basics" / "free.svg").write_text(picture, encoding="utf-8")
    one = settings.questions / "final" / "one.en.md"
    text = one.read_text(encoding="utf-8")
    text = text.replace("about Final one?", "about Final one? ![a stem](stem.svg)")
    one.write_text(text.replace("Feedback on A", "![feedback](feedback.svg) Feedback on A"), encoding="utf-8")
    return make_app(replace(settings, database_url=database_url))


@pytest.fixture
def learner(app: Flask) -> Learner:
    return Learner(app)


def sent(learner: Learner, url: str) -> int:
    with learner.client.get(url) as response:
        return response.status_code


def start_from_an_old_page(learner: Learner) -> Page:
    token = learner.get("/quizzes/basics").hidden["csrf_token"]
    data = {"csrf_token": token, "mode": "exam"}
    return Page(learner.client.post("/quizzes/final", data=data, follow_redirects=True))


def take(learner: Learner) -> str:
    """Take the exam with everything right; return the attempt."""
    page = learner.start("final", "exam")
    attempt = attempt_of(page)
    for letters in ("AC", "B", "AC"):
        page = learner.answer(page, list(letters))
    hand_in(learner, attempt)
    return attempt


def grant(app: Flask, learner: Learner, *percents: int) -> None:
    """Let classes grant this learner extra time."""
    with learner.client.session_transaction() as session:
        id = session.setdefault("learner", "a" * 32)
    now = OPENS - timedelta(days=1)
    with app.app_context():
        db.session.add(store.Learner(id=id, created=now))
        db.session.add(store.Instructor(name="kim", password="-", created=now))
        db.session.flush()
        for number, percent in enumerate(percents):
            code = f"CODE{number}"
            db.session.add(store.Class(code=code, name=code, instructor="kim", created=now))
            db.session.flush()
            member = {"class_code": code, "learner": id, "pseudonym": "owl", "joined": now}
            db.session.add(store.Member(**member, extra_percent=percent))
        db.session.commit()


def deadlines(app: Flask) -> list[datetime | None]:
    with app.app_context():
        return list(db.session.scalars(sa.select(store.Attempt.deadline).order_by(store.Attempt.started)))


# ---- hidden -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("minutes", [-60, 10, 200])
def test_its_questions_are_shown_nowhere_to_those_who_do_not_take_it(learner, clock, minutes):
    clock.moment = OPENS + timedelta(minutes=minutes)
    open_pages = ["/", "/quizzes/final", "/quizzes/basics", "/techniques", "/techniques/lora", "/compare"]
    pages = [learner.get(url) for url in open_pages]
    hidden = ["/questions/final/one", "/questions/final/one?attempt=" + "0" * 32, "/media/final/stem.svg"]

    assert [page.status for page in pages] == [200] * len(pages)
    assert not [
        word for page in pages for word in SECRETS if word in page.response.text and word != SECRETS[4]
    ]
    assert "Final one" not in pages[4].response.text and "First" in pages[4].response.text
    assert [learner.get(url).status for url in hidden] == [404] * 3


def test_it_cannot_be_practised_and_a_page_opened_before_that_says_so(app, learner):
    refused = learner.start("final", "practice")

    assert refused.path == "/quizzes/final" and "cannot be practised" in refused.text
    assert deadlines(app) == []


def test_practice_that_began_before_a_quiz_became_an_exam_ends_there(app, learner, settings):
    page = learner.start("more")
    (settings.questions / "more" / "_quiz.en.md").write_text(
        "---\nexam: only\n---\n# More\n", encoding="utf-8"
    )
    assert app.extensions["steelyard"].live_bank.refresh()

    assert learner.get(page.url).status == 404
    assert learner.answer(page, ["A"]).status == 404


def test_a_question_posted_without_an_exam_tells_nothing(app, learner):
    token = learner.get("/quizzes/basics").hidden["csrf_token"]
    for attempt in ("0" * 32, "f" * 32):
        for mode in ("exam", "practice", "review"):
            data = {"csrf_token": token, "attempt": attempt, "mode": mode, "choice": "A", "face": "x"}
            assert learner.client.post("/questions/final/one", data=data).status_code == 404
    assert chosen(app) == {}


def test_its_pictures_are_sent_as_far_as_its_questions_are_told(app, learner, clock):
    urls = ("/media/final/stem.svg", "/media/final/feedback.svg", "/media/basics/free.svg")

    def statuses() -> list[int]:
        return [sent(learner, url) for url in urls]

    before = statuses()
    learner.start("final", "exam")
    during = statuses()
    clock.moment = CLOSES + timedelta(minutes=1)

    assert before == [404, 404, 200]
    assert during == [200, 404, 200]
    assert statuses() == [200, 200, 200]
    assert [sent(Learner(app), url) for url in urls] == [404, 404, 200]


def forged_exam_id(learner: Learner, slug: str) -> str:
    """Return what the id of a learner's exam was once: anybody could work it out who knew the learner's id."""
    with learner.client.session_transaction() as session:
        return sha256(f"{session['learner']}/{slug}/exam".encode()).hexdigest()[:32]


@pytest.mark.parametrize("mode", ["practice", "review", "exam", ""])
def test_an_answer_under_an_id_that_no_page_gave_is_refused_and_opens_nothing(app, learner, mode):
    page = learner.get("/questions/basics/first")
    ids = [forged_exam_id(learner, "final"), "0" * 32, page.hidden["attempt"][::-1]]
    ids.append(learner.get("/questions/basics/second").hidden["attempt"])
    for attempt in ids:
        data = {**page.hidden, "attempt": attempt, "mode": mode, "choice": "A"}
        assert learner.client.post("/questions/basics/first", data=data).status_code in (400, 404)

    assert sent(learner, "/media/final/feedback.svg") == sent(learner, "/media/final/stem.svg") == 404
    assert chosen(app) == {} and learner.start("final", "exam").path == "/questions/final/one"


def test_practice_under_the_former_id_of_an_exam_shows_no_picture_and_takes_no_place(app, learner):
    learner.answer(learner.get("/questions/basics/first"), ["A"])
    with learner.client.session_transaction() as session:
        own = session["learner"]
    forged = {"id": forged_exam_id(learner, "final"), "quiz": None, "mode": "practice", "started": OPENS}
    with app.app_context():
        db.session.add(store.Attempt(learner=own, **forged))
        db.session.commit()

    assert sent(learner, "/media/final/feedback.svg") == sent(learner, "/media/final/stem.svg") == 404
    assert learner.start("final", "exam").path == "/questions/final/one"


def test_an_exam_that_began_before_an_upgrade_goes_on(app, learner):
    with pytest.MonkeyPatch.context() as before:
        before.setattr("steelyard.web.quiz.quizzes.exam_attempt_id", attempt_ids.former_exam_attempt_id)
        attempt = attempt_of(learner.start("final", "exam"))

    assert start_from_an_old_page(learner).path == f"/attempts/{attempt}"
    assert sent(learner, "/media/final/stem.svg") == 200


# ---- opening and closing ----------------------------------------------------------------------------------


@pytest.mark.both_databases
@pytest.mark.parametrize(
    ("moment", "starts", "words"),
    [
        (
            OPENS - timedelta(seconds=1),
            False,
            "can be started from January 15, 2027, 9:00 AM (GMT+09:00)",
        ),
        (OPENS, True, None),
        (CLOSES - timedelta(seconds=1), True, None),
        (CLOSES, False, "closed on January 15, 2027, 10:30 AM (GMT+09:00)"),
    ],
)
def test_it_is_started_between_its_moments_only(app, learner, clock, moment, starts, words):
    clock.moment = moment
    page = start_from_an_old_page(learner)

    assert (len(deadlines(app)) == 1) is starts
    assert page.path == ("/questions/final/one" if starts else "/quizzes/final")
    assert words is None or words in page.text
    assert starts or "Start the exam" not in page.text


@pytest.mark.both_databases
def test_it_is_taken_once_and_starting_again_goes_on(app, learner):
    first = learner.start("final", "exam")
    again = start_from_an_old_page(learner)
    attempt = attempt_of(first)
    hand_in(learner, attempt, confirmed="yes")

    assert again.path == f"/attempts/{attempt}" and "Hand in" in again.text
    assert start_from_an_old_page(learner).path == f"/attempts/{attempt}"
    assert len(deadlines(app)) == 1


def test_a_description_that_breaks_shuts_the_exam_and_tells_nothing(app, learner, settings):
    attempt = take(learner)
    path = settings.questions / "final" / "_quiz.en.md"
    path.write_text(
        path.read_text(encoding="utf-8").replace("minutes: 30", "minutes: many"), encoding="utf-8"
    )
    assert app.extensions["steelyard"].live_bank.refresh()

    assert "cannot be started" in Learner(app).get("/quizzes/final").text
    assert Learner(app).get("/questions/final/one").status == 404
    assert "Handed in" in learner.get(f"/attempts/{attempt}").text


# ---- the deadline -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("exam", "started", "extra", "expected"),
    [
        (Exam(), 0, 50, None),
        (Exam(minutes=30), 0, 0, 30),
        (Exam(minutes=30), 0, 25, 37.5),
        (Exam(only=True), 0, 0, 600),
        (Exam(only=True, closes=CLOSES), 10, 50, 90),
        (Exam(only=True, opens=OPENS, closes=CLOSES), 10, 0, 90),
        (Exam(only=True, opens=OPENS, closes=CLOSES), 10, 50, 135),
        (Exam(only=True, minutes=30, opens=OPENS, closes=CLOSES), 10, 0, 40),
        (Exam(only=True, minutes=30, opens=OPENS, closes=CLOSES), 80, 0, 90),
        (Exam(only=True, minutes=30, opens=OPENS, closes=CLOSES), 80, 50, 105),
        (Exam(only=True, minutes=30, opens=OPENS, closes=CLOSES), 50, 50, 95),
    ],
)
def test_the_deadline_is_the_limit_with_extra_time_and_never_after_the_close_with_it(
    exam, started, extra, expected
):
    ends = exam_lifecycle.deadline(exam, OPENS + timedelta(minutes=started), extra)

    assert ends == (None if expected is None else OPENS + timedelta(minutes=expected))


@pytest.mark.both_databases
@pytest.mark.parametrize(("percents", "minutes"), [((), 30), ((50,), 45), ((10, 100, 50), 60)])
def test_a_learner_gets_the_greatest_extra_time_of_their_classes(app, learner, clock, percents, minutes):
    if percents:
        grant(app, learner, *percents)
    page = learner.get("/quizzes/final")
    learner.start("final", "exam")

    assert f"You have {minutes} minutes from the moment you start" in page.text
    assert deadlines(app) == [clock.moment + timedelta(minutes=minutes)]


# ---- silence ----------------------------------------------------------------------------------------------


@pytest.mark.both_databases
def test_nothing_of_the_result_is_told_before_it_has_closed(app, learner, clock):
    attempt = take(learner)
    pages = [
        learner.get(f"/attempts/{attempt}"),
        learner.get(f"/questions/final/one?attempt={attempt}"),
        learner.get("/"),
        learner.get("/quizzes/final"),
    ]

    assert [page.path for page in pages[:2]] == [f"/attempts/{attempt}"] * 2
    assert "once the exam has closed for all, on January 15, 2027, 10:30 AM (GMT+09:00)" in pages[0].text
    assert "3 of 3 questions are answered" in pages[0].text
    for page in pages:
        for word in ("Feedback", "3 of 3.", "last result", "Right", "By technique"):
            assert word not in page.text
    assert "the result is not told yet" in pages[2].text and "the result is not told yet" in pages[3].text


def test_everything_is_told_after_it_has_closed(app, learner, clock):
    attempt = take(learner)
    clock.moment = CLOSES + timedelta(seconds=10)
    result = learner.get(f"/attempts/{attempt}")
    told = learner.get(f"/questions/final/one?attempt={attempt}")

    assert "3 of 3" in result.text and "By technique" in result.text
    assert "Take it again" not in result.text and "Practise the wrong ones" not in result.text
    assert "Feedback on A of Final one." in told.text
    assert "3 of 3" in learner.get("/quizzes/final").text


@pytest.mark.both_databases
def test_it_is_silent_while_somebody_with_extra_time_is_still_taking_it(app, learner, clock):
    attempt = take(learner)
    slow = Learner(app)
    grant(app, slow, 100)
    clock.moment = CLOSES - timedelta(minutes=1)
    page = slow.start("final", "exam")
    clock.moment = CLOSES + timedelta(minutes=20)
    waiting = learner.get(f"/attempts/{attempt}")
    told = learner.get(f"/questions/final/one?attempt={attempt}")
    saved = autosave(slow, page, "AC")
    hand_in(slow, attempt_of(page), confirmed="yes")

    assert "Somebody is still taking this exam" in waiting.text and "Feedback" not in told.text
    assert saved.status == 204
    assert "3 of 3" in learner.get(f"/attempts/{attempt}").text


def test_whoever_never_came_back_does_not_keep_the_others_waiting(app, learner, clock):
    attempt = take(learner)
    Learner(app).start("final", "exam")
    clock.moment = CLOSES + timedelta(seconds=10)

    assert "3 of 3" in learner.get(f"/attempts/{attempt}").text


def test_without_a_close_the_result_waits_for_one(app, learner, clock, settings):
    path = settings.questions / "final" / "_quiz.en.md"
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole.replace("closes: 2027-01-15T10:30+09:00\n", ""), encoding="utf-8")
    assert app.extensions["steelyard"].live_bank.refresh()
    attempt = take(learner)
    clock.go(minutes=100_000)
    waiting = learner.get(f"/attempts/{attempt}")
    path.write_text(whole, encoding="utf-8")
    assert app.extensions["steelyard"].live_bank.refresh()

    assert "once the exam has closed for all" in waiting.text
    assert "3 of 3" in learner.get(f"/attempts/{attempt}").text


@pytest.mark.both_databases
@pytest.mark.parametrize("forgotten", [False, True])
def test_the_results_of_a_quiz_that_vanished_wait_for_its_close_and_no_longer(
    app, learner, clock, settings, make_app, forgotten
):
    attempt = take(learner)
    (settings.questions / "final").rename(settings.questions / "moved")
    assert app.extensions["steelyard"].live_bank.refresh()
    if forgotten:  # by another machine, or with the data folder: what the attempt began with is left
        (settings.data / "exams.json").unlink()
        state = State.read(settings)
        app.extensions["steelyard"] = state
        assert "final" not in state.bank.exams
    waiting = [learner.get(f"/attempts/{attempt}")]
    clock.moment = CLOSES - timedelta(seconds=1)
    waiting.append(learner.get(f"/attempts/{attempt}"))
    clock.go(seconds=12)

    assert ["Handed in" in page.text for page in waiting] == [True, True]
    assert "3 of 3" in learner.get(f"/attempts/{attempt}").text


# ---- taken once -------------------------------------------------------------------------------------------


def join(app: Flask, learner: Learner, pseudonym: str, code: str = "CDEF2345") -> Page:
    """Join a class, which is made if it is not there."""
    with app.app_context():
        store.writing.add(db.session, store.Instructor, name="kim", password="-", created=OPENS)
        store.writing.add(
            db.session, store.Class, code=code, name="Lab course", instructor="kim", created=OPENS
        )
        db.session.commit()
    page = learner.get(f"/join/{code}")
    data = {**page.hidden, "pseudonym": pseudonym}
    return Page(learner.client.post(f"/join/{code}", data=data, follow_redirects=True))


def delete_everything(learner: Learner) -> None:
    page = learner.get("/progress/delete")
    assert learner.client.post("/progress/delete", data={**page.hidden, "confirm": "yes"}).status_code == 303


@pytest.mark.both_databases
@pytest.mark.parametrize("rejoined", ["owl", "OWL", "ｏｗｌ"])
def test_who_deletes_everything_cannot_begin_again_under_the_same_pseudonym(app, learner, rejoined):
    join(app, learner, "owl")
    learner.start("final", "exam")
    delete_everything(learner)
    again, other = Learner(app), Learner(app)
    join(app, again, rejoined)
    join(app, other, "lynx")
    refused = again.start("final", "exam")
    with app.app_context():
        starts = exam_starts.former_starts(db.session, "CDEF2345")
        allowed = [
            exam_starts.allow_again(db.session, code="CDEF2345", pseudonym=pseudonym, quiz="final")
            for pseudonym in ("lynx", "owl", "owl")
        ]
        db.session.commit()

    assert refused.path == "/quizzes/final" and "begun before under your pseudonym" in refused.text
    assert other.start("final", "exam").path == "/questions/final/one"
    assert [start.quiz for start in starts] == ["final"]
    assert allowed == [False, True, False]
    assert again.start("final", "exam").path == "/questions/final/one"


@pytest.mark.both_databases
def test_who_lost_a_browser_and_joins_again_can_be_let_in_by_the_instructor(app, learner):
    join(app, learner, "owl")
    learner.start("final", "exam")
    with app.app_context():
        of_a_member = exam_starts.allow_again(db.session, code="CDEF2345", pseudonym="owl", quiz="final")
        classes.remove_member(db.session, code="CDEF2345", pseudonym="owl")
        db.session.commit()
    again = Learner(app)
    join(app, again, "owl")
    refused = again.start("final", "exam")
    with app.app_context():
        allowed = exam_starts.allow_again(db.session, code="CDEF2345", pseudonym="owl", quiz="final")
        db.session.commit()

    assert (of_a_member, refused.path, allowed) == (False, "/quizzes/final", True)
    assert again.start("final", "exam").path == "/questions/final/one"


def test_an_exam_for_members_is_begun_by_nobody_else(app, learner, settings):
    path = settings.questions / "final" / "_quiz.en.md"
    path.write_text(path.read_text("utf-8").replace("exam: only", "exam: only\nmembers: only"), "utf-8")
    assert app.extensions["steelyard"].live_bank.refresh()
    page = learner.get("/quizzes/final")
    refused = start_from_an_old_page(learner)
    join(app, learner, "owl")

    assert "Only members of a class can start this exam" in page.text and "Start the exam" not in page.text
    assert refused.path == "/quizzes/final"
    assert learner.start("final", "exam").path == "/questions/final/one"


@pytest.mark.both_databases
def test_statistics_can_end_every_overdue_exam_at_once(app, clock):
    for letters in ("AC", "B", ""):
        learner = Learner(app)
        page = learner.start("final", "exam")
        if letters:
            learner.answer(page, list(letters))
    with app.app_context():
        early = exam_lifecycle.close_overdue(db.session, clock.moment + timedelta(minutes=MINUTES))
        ended = exam_lifecycle.close_overdue(db.session, clock.moment + timedelta(minutes=MINUTES + 1))
        again = exam_lifecycle.close_overdue(db.session, clock.moment + timedelta(minutes=MINUTES + 1))
        db.session.commit()
        scores = db.session.scalars(sa.select(store.Answer.score).where(store.Answer.question == "final/one"))
        total = sorted(scores)

    assert (early, ended, again) == (0, 3, 0)
    assert total == [0.0, 0.0, 1.0]
