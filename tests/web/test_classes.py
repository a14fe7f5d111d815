"""Classes: who may see one, how it is joined and left, and what extra time is granted."""

from __future__ import annotations

import re
from dataclasses import replace
from threading import Thread
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from limits import parse

from instructing import Instructor, instructor, join
from learner import Learner
from steelyard import store
from steelyard.settings import Settings
from steelyard.store import classes, instructors
from steelyard.store.exams import extra_percent
from steelyard.web.app import clock, security
from steelyard.web.app.database import db
from steelyard.web.learner.pseudonyms import suggestion


@pytest.fixture
def app(settings: Settings, make_app, database_url: str) -> Flask:
    return make_app(replace(settings, database_url=database_url))


def rows(app: Flask, table: type[store.Base]) -> int:
    with app.app_context():
        return db.session.scalar(sa.select(sa.func.count()).select_from(table)) or 0


def fellows(app: Flask, code: str) -> dict[str, int]:
    with app.app_context():
        return {fellow.pseudonym: fellow.extra_percent for fellow in classes.fellows(db.session, code)}


# ---- codes ------------------------------------------------------------------------------------------------


def test_a_code_has_no_letter_that_looks_like_another(app):
    ada = instructor(app)
    codes = {ada.create_class(f"Class {number}") for number in range(20)}

    assert len(codes) == 20
    assert all(re.fullmatch("[2-9A-HJKMNP-TV-Z]{8}", code) for code in codes)


@pytest.mark.parametrize("typed", ["{code}", "{lower}", "{half}-{rest}", " {lower} ", "{half} – {rest}"])
def test_a_code_is_found_however_it_is_typed(app, typed):
    code = instructor(app).create_class()
    typed = typed.format(code=code, lower=code.lower(), half=code[:4].lower(), rest=code[4:])
    page = Learner(app).client.get("/join", query_string={"code": typed}, follow_redirects=True)

    assert (page.status_code, page.request.path) == (200, f"/join/{code}")
    assert "Spring" in page.text
    assert Learner(app).get(f"/join/{typed}").status == 200


@pytest.mark.parametrize("code", ["22222222", "x", "-", "O0O0O0O0", "%00", "ABCDEFGH" * 9, "日本語"])
def test_a_code_that_does_not_exist_is_said_with_what_to_do(app, code):
    learner = Learner(app)
    page = learner.get(f"/join/{code}")
    token = learner.get("/quizzes/basics").hidden["csrf_token"]
    posted = learner.client.post(f"/join/{code}", data={"csrf_token": token, "pseudonym": "x"})
    left = learner.client.post(f"/join/{code}/leave", data={"csrf_token": token})

    assert (page.status, posted.status_code, left.status_code) == (404, 404, 404)
    assert "There is no such class" in page.text and "ask whoever gave it to you" in page.text
    assert learner.get("/join?code=nonsense").status == 404
    assert learner.get("/join").status == 200
    assert rows(app, store.Member) == rows(app, store.Learner) == 0


def test_guessing_codes_is_limited_and_a_class_behind_one_address_is_not(app, monkeypatch):
    monkeypatch.setattr("steelyard.web.app.limiter.time", SimpleNamespace(time=lambda: 1_800_000_000.0))
    code = instructor(app).create_class()
    for number in range(60):
        join(app, code, f"learner {number}")
    guesses = (f"{number:08}".replace("0", "A").replace("1", "B") for number in range(121))
    statuses = [Learner(app).get(f"/join/{guess}").status for guess in guesses]

    assert rows(app, store.Member) == 60
    assert set(statuses[:120]) == {404}
    assert statuses[120] == 429


def link(ada: Instructor, code: str) -> str:
    """Return the address of the class's link, with the key that it carries."""
    (url,) = [url for url in ada.get(f"/instructor/classes/{code}").links if f"/join/{code}" in url]
    return url.removeprefix("http://localhost")


def use_up_guesses() -> None:
    security.limiter.windows.hit(parse("120 per minute"), "127.0.0.1", "codes", cost=120)


def test_whoever_comes_by_the_link_gets_in_whatever_others_of_the_address_guess(app, monkeypatch):
    monkeypatch.setattr("steelyard.web.app.limiter.time", SimpleNamespace(time=lambda: 1_800_000_000.0))
    ada = instructor(app)
    code = ada.create_class()
    url = link(ada, code)
    member = join(app, code, "amber")
    use_up_guesses()
    learner = Instructor(app)
    page = learner.get(url)

    assert Learner(app).get(f"/join/{code}").status == 429
    assert page.status == 200
    assert "You are in this class as birch" in learner.send(page, f"/join/{code}", pseudonym="birch").text
    assert member.get(f"/join/{code}").status == 200
    assert member.send(member.get(f"/join/{code}"), f"/join/{code}/leave").status == 200


@pytest.mark.parametrize("key", ["", "x", "é", "of another class"])
def test_a_key_serves_its_own_class(app, monkeypatch, key):
    monkeypatch.setattr("steelyard.web.app.limiter.time", SimpleNamespace(time=lambda: 1_800_000_000.0))
    ada = instructor(app)
    code, other = ada.create_class(), ada.create_class("Autumn")
    if key.startswith("of"):
        key = link(ada, other).partition("key=")[2]
    use_up_guesses()

    assert Learner(app).client.get(f"/join/{code}", query_string={"key": key}).status_code == 429


def test_what_cannot_be_a_code_is_no_guess(app):
    learner = Learner(app)
    for typed in ("ABCD", "", "0OIL1U00"):
        learner.get(f"/join?code={typed}")
        learner.get(f"/join/{typed or '-'}")

    assert security.limiter.windows.test(parse("120 per minute"), "127.0.0.1", "codes", cost=120)


# ---- joining ----------------------------------------------------------------------------------------------


@pytest.mark.both_databases
def test_a_learner_joins_under_the_suggested_pseudonym_and_answers_count_for_the_class(app):
    ada = instructor(app)
    code = ada.create_class()
    learner = Instructor(app)
    page = learner.get(f"/join/{code}")
    joined = learner.answer(page, [])

    assert re.fullmatch("[a-z]+-[a-z]+-[0-9]{2}", page.hidden["pseudonym"])
    assert f"You are in this class as {page.hidden['pseudonym']}" in joined.text
    assert fellows(app, code) == {page.hidden["pseudonym"]: 0}
    assert page.hidden["pseudonym"] in ada.get(f"/instructor/classes/{code}").text


def test_joining_twice_changes_nothing(app):
    code = instructor(app).create_class()
    learner = join(app, code, "amber")
    again = learner.send(learner.get("/quizzes/basics"), f"/join/{code}", pseudonym="other")

    assert "You are in this class as amber" in again.text
    assert fellows(app, code) == {"amber": 0}


@pytest.mark.both_databases
@pytest.mark.parametrize("pseudonym", ["amber", "AMBER", "  Amber ", "a\u0000mber"])
def test_a_pseudonym_that_is_taken_gets_another_suggestion(app, pseudonym):
    code = instructor(app).create_class()
    join(app, code, "Amber")
    other = Instructor(app)
    page = other.send(other.get(f"/join/{code}"), f"/join/{code}", pseudonym=pseudonym)

    assert page.status == 400
    assert "already, or nearly so. Here is another one." in page.text
    assert re.fullmatch("[a-z]+-[a-z]+-[0-9]{2}", page.hidden["pseudonym"])
    assert fellows(app, code) == {"Amber": 0}
    assert "You are in this class" in other.answer(page, []).text


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("anna", "ＡＮＮＡ"),  # full-width
        ("anna", "𝐚𝐧𝐧𝐚"),
        ("anna", "ᴀɴɴᴀ"),
        ("anna", "ΑΝΝΑ"),  # Greek
        ("anna", "ann\u034fa"),  # what joins letters and shows nothing
        ("anna", "anna\ufe0f"),
        ("anna", "anna\u3164"),
        ("coco", "сосо"),  # Cyrillic
        ("café", "cafе\u0301".replace("c", "с").replace("a", "а").replace("f", "f")),
        ("amber-heron-41", "amber\u2010heron\u201041"),
        ("amber-heron-41", "amber-heron-4l"),
        ("amber-heron-41", "arnber-heron-41"),
        ("o'neil", "o’neil"),
        ("ΝΙΚΟΣ", "νικοσ"),  # as before: case does not count, in any script
        ("アンナ", "ｱﾝﾅ"),
    ],
)
def test_a_pseudonym_that_looks_like_another_is_taken(app, first, second):
    code = instructor(app).create_class()
    join(app, code, first)
    other = Instructor(app)
    page = other.send(other.get(f"/join/{code}"), f"/join/{code}", pseudonym=second)

    assert page.status == 400
    assert len(fellows(app, code)) == 1


@pytest.mark.parametrize("pseudonym", ["аnna", "Аннa", "ꓮꓠꓠꓮ", "ᎪᏁᏁᎪ", "annа 2"])
def test_a_pseudonym_of_mixed_or_rare_scripts_is_asked_for_again(app, pseudonym):
    code = instructor(app).create_class()
    learner = Instructor(app)
    page = learner.send(learner.get(f"/join/{code}"), f"/join/{code}", pseudonym=pseudonym)

    assert page.status == 400
    assert "in the letters of one script" in page.text
    assert fellows(app, code) == {}


def test_pseudonyms_of_the_worlds_scripts_are_taken(app):
    code = instructor(app).create_class()
    names = [
        "anna",
        "Åse",
        "Анна",
        "Νίκος",
        "山田さん",
        "アンナ-Anna 3",
        "王小明",
        "김철수",
        "أحمد",
        "דנה",
        "अन्ना",
        "🦊",
        "々々",
        "42",
    ]
    for name in names:
        join(app, code, name)

    assert {*fellows(app, code)} == {*names}


@pytest.mark.both_databases
def test_a_pseudonym_from_before_that_would_not_be_taken_today_stays_valid(app):
    ada = instructor(app)
    code = ada.create_class()
    join(app, code, "anna")
    learner = join(app, code, "birch")
    with app.app_context():
        db.session.execute(
            sa.update(store.Member).where(store.Member.pseudonym == "birch").values(pseudonym="аnna")
        )
        db.session.commit()

    assert "You are in this class as аnna" in learner.get(f"/join/{code}").text
    page = ada.get(f"/instructor/classes/{code}")
    extra = ada.send(page, f"/instructor/classes/{code}/extra", pseudonym="аnna", percent="50")
    assert "аnna has 50 per cent extra time" in extra.text
    assert fellows(app, code) == {"anna": 0, "аnna": 50}


@pytest.mark.parametrize("pseudonym", ["", "   ", "\u200b\u202e", "x" * 41, "\0", "\u3164", "\u2800 \ufe0f"])
def test_a_pseudonym_that_is_none_is_asked_for_again(app, pseudonym):
    code = instructor(app).create_class()
    learner = Instructor(app)
    page = learner.send(learner.get(f"/join/{code}"), f"/join/{code}", pseudonym=pseudonym)

    assert page.status == 400
    assert "from 1 to 40 characters" in page.text
    assert fellows(app, code) == {}


@pytest.mark.both_databases
def test_of_two_who_want_one_pseudonym_at_once_one_gets_it(app):
    code = instructor(app).create_class()
    forms = [(learner, learner.get(f"/join/{code}")) for learner in (Instructor(app) for _ in range(6))]
    statuses = []

    def send(learner: Instructor, page) -> None:
        statuses.append(learner.send(page, f"/join/{code}", pseudonym="amber").status)

    threads = [Thread(target=send, args=pair) for pair in forms]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(statuses) == [200] + [400] * 5
    assert fellows(app, code) == {"amber": 0}


@pytest.mark.both_databases
def test_whoever_leaves_is_not_seen_any_more_and_keeps_their_answers(app):
    ada = instructor(app)
    code = ada.create_class()
    learner = join(app, code, "amber")
    learner.answer(learner.get("/questions/basics/first"), ["A"])
    page = learner.get(f"/join/{code}")
    left = learner.send(page, f"/join/{code}/leave")
    again = learner.send(learner.get("/quizzes/basics"), f"/join/{code}/leave")

    assert "You have left the class Spring" in left.text
    assert again.status == 200
    assert fellows(app, code) == {}
    assert rows(app, store.Answer) == 1
    assert "amber" not in ada.get(f"/instructor/classes/{code}").text


def test_a_learner_is_in_several_classes_under_different_names(app):
    ada = instructor(app)
    first, second = ada.create_class("First"), ada.create_class("Second")
    learner = join(app, first, "amber")
    learner.send(learner.get(f"/join/{second}"), f"/join/{second}", pseudonym="cobalt")

    assert (fellows(app, first), fellows(app, second)) == ({"amber": 0}, {"cobalt": 0})


def test_a_learner_who_deleted_their_data_is_in_no_class(app):
    code = instructor(app).create_class()
    join(app, code, "amber")
    with app.app_context():
        learner = db.session.scalar(sa.select(store.Member.learner))
        store.forget(db.session, learner)
        db.session.commit()

    assert fellows(app, code) == {}


# ---- the instructor's side --------------------------------------------------------------------------------


def test_a_class_shows_its_link_its_code_and_the_link_as_a_picture_without_styles(app):
    ada = instructor(app)
    code = ada.create_class("春のクラス <b>")
    page = ada.get(f"/instructor/classes/{code}")

    assert "春のクラス <b>" in page.text
    assert f"http://localhost/join/{code}" in page.text
    assert f"{code[:4]}-{code[4:]}" in page.text
    assert '<svg viewBox="' in page.response.text
    assert not re.search(r"<[^>]*\sstyle\s*=", page.response.text)


def test_a_site_on_https_gives_links_with_https(app):
    code = instructor(app).create_class()
    state = app.extensions["steelyard"]
    app.extensions["steelyard"] = replace(state, settings=replace(state.settings, https=True))
    ada = Instructor(app)
    ada.log_in()

    assert f"https://localhost/join/{code}" in ada.get(f"/instructor/classes/{code}").text


@pytest.mark.parametrize("name", ["", "   ", "x" * 101, "\u202e"])
def test_a_class_without_a_name_is_not_made(app, name):
    ada = instructor(app)
    page = ada.send(ada.get("/instructor"), "/instructor/classes", name=name)

    assert "needs a name of at most 100 characters" in page.text
    assert rows(app, store.Class) == 0


def test_nobody_else_sees_a_class_or_changes_it(app):
    code = instructor(app).create_class()
    join(app, code, "amber")
    bea = instructor(app, "bea")
    own = bea.get("/instructor")

    assert "Spring" not in own.text
    for path in ("", "/delete", "/results/basics"):
        assert bea.get(f"/instructor/classes/{code}{path}").status == 404
    assert bea.get(f"/instructor/quizzes/basics?class={code}").status == 404
    for path, fields in (
        ("extra", {"pseudonym": "amber", "percent": "50"}),
        ("remove", {"pseudonym": "amber"}),
        ("delete", {}),
    ):
        assert bea.send(own, f"/instructor/classes/{code}/{path}", **fields).status == 404
    assert fellows(app, code) == {"amber": 0}


def grant(ada, code: str, percent: str):
    """Type extra time for amber into the class's page."""
    page = ada.get(f"/instructor/classes/{code}")
    return ada.send(page, f"/instructor/classes/{code}/extra", pseudonym="amber", percent=percent)


@pytest.mark.parametrize(("typed", "granted"), [("50", 50), ("0", 0), (" 200 ", 200)])
def test_extra_time_is_granted(app, typed, granted):
    ada = instructor(app)
    code = ada.create_class()
    join(app, code, "amber")
    page = grant(ada, code, typed)

    assert f"amber has {granted} per cent extra time" in page.text
    assert fellows(app, code) == {"amber": granted}
    with app.app_context():
        learner = db.session.scalar(sa.select(store.Member.learner))
        assert extra_percent(db.session, learner) == granted


@pytest.mark.parametrize("typed", ["201", "-1", "1.5", "", "x", "9999", "５０", "1e2"])
def test_extra_time_out_of_bounds_is_not(app, typed):
    ada = instructor(app)
    code = ada.create_class()
    join(app, code, "amber")
    page = grant(ada, code, typed)

    assert "from 0 to 200" in page.text
    assert fellows(app, code) == {"amber": 0}


@pytest.mark.both_databases
def test_a_member_is_removed_and_a_removed_one_is_named_as_gone(app):
    ada = instructor(app)
    code = ada.create_class()
    learner = join(app, code, "amber")
    url = f"/instructor/classes/{code}"
    removed = ada.send(ada.get(url), f"{url}/remove", pseudonym="amber")

    assert "amber is no longer in this class" in removed.text
    for path, fields in (("remove", {}), ("extra", {"percent": "10"})):
        again = ada.send(ada.get(url), f"{url}/{path}", pseudonym="amber", **fields)
        assert "There is no such member any more." in again.text
    assert "Join the class" in learner.get(f"/join/{code}").text


@pytest.mark.both_databases
def test_deleting_a_class_is_asked_for_first_and_leaves_the_answers(app):
    ada = instructor(app)
    code = ada.create_class()
    learner = join(app, code, "amber")
    learner.answer(learner.start("basics"), ["A"])
    url = f"/instructor/classes/{code}/delete"
    asked = ada.get(url)
    assert "Delete the class Spring?" in asked.text and rows(app, store.Class) == 1
    deleted = ada.send(asked, url)

    assert urlsplit(deleted.url).path == "/instructor" and "The class Spring is deleted." in deleted.text
    assert (rows(app, store.Class), rows(app, store.Member), rows(app, store.Answer)) == (0, 0, 1)
    assert learner.get(f"/join/{code}").status == 404
    assert learner.get("/progress").status == 200


@pytest.mark.both_databases
def test_removing_an_instructor_removes_their_classes_and_no_answer(app):
    ada = instructor(app)
    code = ada.create_class()
    learner = join(app, code, "amber")
    learner.answer(learner.start("basics"), ["A"])
    with app.app_context():
        instructors.remove_instructor(db.session, "ada")
        db.session.commit()

    assert (rows(app, store.Class), rows(app, store.Member), rows(app, store.Answer)) == (0, 0, 1)


# ---- whatever is sent -------------------------------------------------------------------------------------


def test_suggestions_differ_and_fit():
    drawn = {suggestion() for _ in range(200)}

    assert len(drawn) > 190
    assert max(map(len, drawn)) <= classes.LONGEST_PSEUDONYM


@given(st.text(max_size=60))
def test_a_tidy_name_is_printable_and_stays_as_it_is(typed):
    tidy = classes.tidy(typed)

    assert tidy.isprintable()
    assert classes.tidy(tidy) == tidy
    assert "  " not in tidy and tidy == tidy.strip()


@hypothesis_settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(code=st.text(max_size=20), pseudonym=st.text(max_size=60))
def test_no_form_makes_joining_fail(app, code, pseudonym):
    with app.app_context():
        if classes.group(db.session, "22222222") is None:
            instructors.add_instructor(db.session, name="ada", password="x", now=clock.now())
            db.session.add(store.Class(code="22222222", name="x", instructor="ada", created=clock.now()))
            db.session.commit()
    learner = Instructor(app)
    form = learner.get("/join/22222222")
    security.limiter.reset()

    assert learner.send(form, "/join/22222222", pseudonym=pseudonym).status in (200, 400)
    response = learner.client.get("/join", query_string={"code": code}, follow_redirects=True)
    assert response.status_code in (200, 404)
