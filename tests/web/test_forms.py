"""What bad forms get: a clear message or a refusal, never an error of the server, and no answer is lost."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from learner import Learner, Page
from steelyard import store
from steelyard.web.app import security
from steelyard.web.app.database import db


def answers(app) -> int:
    with app.app_context():
        return db.session.scalar(sa.select(sa.func.count()).select_from(store.Answer)) or 0


@pytest.fixture
def learner(app) -> Learner:
    return Learner(app)


def test_no_choice_is_asked_for_again(app, learner):
    page = learner.answer(learner.start("basics"), [])

    assert (page.status, answers(app)) == (400, 0)
    assert "Choose at least one answer." in page.text


def test_a_form_asked_for_again_stays_in_its_attempt_when_the_language_is_switched(app, learner):
    page = learner.answer(learner.start("basics"), [])
    (switch,) = [url for url in page.links if url.endswith("lang=ja")]

    assert learner.get(switch).hidden["attempt"] == page.hidden["attempt"]


def test_an_unknown_choice_is_asked_for_again_and_the_known_ones_stay_ticked(app, learner):
    page = learner.answer(learner.start("basics"), ["A", "Z"])

    assert (page.status, answers(app)) == (400, 0)
    assert "not among the choices" in page.text
    assert page.ticked == {"A"}


def test_two_answers_to_a_single_choice_are_refused(app, learner):
    page = learner.answer(learner.get("/questions/basics/second"), ["A", "B"])

    assert (page.status, answers(app)) == (400, 0)
    assert "takes one answer" in page.text


def test_a_megabyte_of_text_is_refused(app, learner):
    page = learner.answer(learner.start("basics"), ["A"], guess="9" * 1024**2)

    assert (page.status, answers(app)) == (413, 0)
    assert "too much text" in page.text


def test_thousands_of_fields_are_refused(app, learner):
    page = learner.start("basics")
    data = {**page.hidden, "choice": ["A"] * 1000}
    response = learner.client.post(page.path, data=data, content_type="multipart/form-data")

    assert (response.status_code, answers(app)) == (413, 0)


def test_a_stale_token_keeps_the_choice_and_the_form_can_be_sent_again(app, learner):
    page = learner.start("basics")
    page.hidden["csrf_token"] = "stale"
    again = learner.answer(page, ["A", "C"])

    assert (again.status, answers(app)) == (400, 0)
    assert "send it again" in again.text
    assert again.ticked == {"A", "C"}
    assert learner.answer(again, again.ticked).outcome == "Right"
    assert answers(app) == 1


@pytest.mark.parametrize("id", ["basics/broken", "basics/none"])
def test_a_stale_token_for_a_question_that_cannot_be_shown_is_no_failure(app, learner, settings, id):
    (settings.questions / "basics" / "broken.en.md").write_text("# Broken", encoding="utf-8")
    app.extensions["steelyard"].live_bank.refresh()
    response = learner.client.post(f"/questions/{id}", data={"csrf_token": "stale", "choice": "A"})

    assert response.status_code == (503 if id.endswith("broken") else 404)


def test_a_lost_session_keeps_the_choice(app, learner):
    page = learner.get("/questions/basics/first")
    learner.client.delete_cookie("steelyard")
    again = learner.answer(page, ["A", "C"])

    assert again.status == 400
    assert again.ticked == {"A", "C"}
    assert learner.answer(again, again.ticked).outcome == "Right"


def test_a_start_without_a_token_is_refused(app, learner):
    response = learner.client.post("/quizzes/basics")

    assert response.status_code == 400
    assert "too old" in response.text


@pytest.mark.parametrize("attempt", ["", "x", "0" * 31, "0" * 33, "'; DROP TABLE answers; --", "\0" * 32])
def test_an_attempt_that_cannot_be_is_refused(app, learner, attempt):
    page = learner.start("basics")
    page.hidden["attempt"] = attempt

    assert learner.answer(page, ["A"]).status == 400
    assert learner.client.get("/attempts/x", query_string={"attempt": attempt}).status_code == 404
    assert learner.get(f"/questions/basics/first?attempt={attempt[:3]}").status == 200


def test_a_question_of_another_quiz_is_not_answered_within_an_attempt(app, learner):
    page = learner.start("basics")
    other = Page(
        learner.client.post(
            "/questions/more/alone", data={**page.hidden, "choice": "A"}, follow_redirects=True
        )
    )

    assert (other.status, answers(app)) == (404, 0)


@pytest.mark.parametrize(
    "url", ["/nowhere", "/quizzes/none", "/questions/none", "/questions/basics/first/x", "/attempts/none"]
)
def test_what_does_not_exist_is_said_on_a_page(learner, url):
    page = learner.get(url)

    assert page.status == 404
    assert "There is no such page" in page.text


def test_a_method_that_an_address_does_not_take_is_said_on_a_page(learner):
    page = learner.get("/")
    response = learner.client.post("/", data=page.hidden)

    assert response.status_code in (400, 405)
    assert set(learner.client.delete("/").headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}
    assert "start page" in response.text or "Go back" in response.text


def test_more_submissions_than_a_person_can_make_wait(app, learner):
    page = learner.start("basics")
    statuses = [learner.answer(page, [], follow=False).status for _ in range(61)]
    others = Learner(app).start("basics")

    assert statuses[:59] == [400] * 59
    assert statuses[-1] == 429
    assert others.status == 200


@hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    fields=st.dictionaries(
        st.sampled_from(["attempt", "face", "choice", "guess", "csrf_token", "other"]),
        st.lists(st.text(max_size=40), max_size=3),
    ),
    with_token=st.booleans(),
)
def test_no_form_makes_the_server_fail(app, fields, with_token):
    learner = Learner(app)
    page = learner.get("/questions/basics/first")
    data = {**page.hidden, **fields} if with_token else fields
    security.limiter.reset()

    assert learner.client.post("/questions/basics/first", data=data).status_code in (303, 400, 404, 409)
