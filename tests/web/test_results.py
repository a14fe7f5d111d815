"""Statistics and results as an instructor reads them, from what learners really sent."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from io import StringIO

import pytest
import sqlalchemy as sa
from flask import Flask

from instructing import Instructor, instructor, join
from learner import Learner
from steelyard import store
from steelyard.settings import Settings
from steelyard.store import classes, results
from steelyard.web.app.database import db
from steelyard.web.instructor.analysis import analysis
from steelyard.web.instructor.table import encoded

BASICS = ("basics/first", "basics/second", "basics/third")


@pytest.fixture
def app(settings: Settings, make_app, database_url: str) -> Flask:
    return make_app(replace(settings, database_url=database_url))


def take(learner: Learner, *answers: str, lang: str = "en") -> None:
    """Take `basics`, as far as there are answers."""
    learner.client.set_cookie("lang", lang)
    page = learner.start("basics")
    for chosen in answers:
        page = learner.next(learner.answer(page, chosen))


def found(app: Flask, **chosen):
    """Return the statistics of `basics`."""
    bank = app.extensions["steelyard"].bank
    chosen = {"class_code": None, "language": None, "first_only": True} | chosen
    with app.app_context():
        return analysis(db.session, bank, bank.quizzes["basics"], **chosen)


def edit(app: Flask, settings: Settings, name: str, old: str, new: str) -> None:
    path = settings.questions / "basics" / name
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    assert app.extensions["steelyard"].live_bank.refresh()


# ---- which answers count ----------------------------------------------------------------------------------


def test_each_learner_saw_another_order_and_the_statistics_are_those_of_the_files_letters(app):
    """Keys A and C, B, A and C; scores by `balanced`: one of two keys 0.5, one key and one wrong choice 0."""
    learners = [Learner(app) for _ in range(4)]
    for learner, answers in zip(
        learners, (("AC", "B", "AC"), ("AC", "B", "A"), ("A", "A", "C"), ("B", "C", "AB")), strict=True
    ):
        take(learner, *answers)
    with app.app_context():
        orders = set(db.session.scalars(sa.select(store.Item.letters)))
    statistics, attempts = found(app)
    first, second, third = (statistics.items[question] for question in BASICS)

    assert len(orders) > 1, "nothing was shuffled"
    assert attempts == statistics.quiz.complete == 4
    assert (first.facility, second.facility, third.facility) == (0.625, 0.5, 0.5)
    assert [choice.ticked for choice in first.choices] == [3, 1, 2, 0]
    assert [choice.ticked for choice in second.choices] == [1, 2, 1, 0]
    assert [choice.ticked for choice in third.choices] == [3, 1, 2, 0]
    # Totals 3, 2.5, 1, 0. First question 1, 1, 0.5, 0 beside 2, 1.5, 0.5, 0.
    assert statistics.quiz.mean == 1.625
    assert first.discrimination == pytest.approx(1.25 / (0.6875 * 2.5) ** 0.5)
    # Choice A of the first question: 1, 1, 1, 0 beside 2, 1.5, 0.5, 0.
    assert first.choices[0].point_biserial == pytest.approx(1.0 / (0.75 * 2.5) ** 0.5)


@pytest.mark.both_databases
def test_the_first_attempt_counts_unless_all_are_asked_for(app):
    learner = Learner(app)
    take(learner, "B", "A", "B")
    take(learner, "AC", "B", "AC")
    first, all = found(app), found(app, first_only=False)

    assert (first[1], first[0].quiz.mean) == (1, 0.0)
    assert (all[1], all[0].quiz.mean) == (2, 1.5)


def test_a_lone_question_and_another_quiz_are_no_part_of_it(app):
    learner = Learner(app)
    learner.answer(learner.get("/questions/basics/first"), "AC")
    learner.answer(learner.start("more"), "A")

    assert found(app)[1] == 0


@pytest.mark.both_databases
def test_statistics_are_told_apart_by_class_and_by_language(app):
    ada = instructor(app)
    code = ada.create_class()
    take(join(app, code, "amber"), "AC", "B", "AC")
    take(Learner(app), "B", "A", "B", lang="ja")
    whole, own = found(app), found(app, class_code=code)
    english, japanese = found(app, language="en"), found(app, language="ja")

    assert [statistics.items["basics/first"].facility for statistics, _ in (whole, own, english, japanese)] == [0.5, 1, 1, 0]  # fmt: skip
    assert (japanese[0].items["basics/first"].n, japanese[0].items["basics/second"].n) == (1, 0)


def test_an_edited_question_shares_what_was_not_edited(app, settings):
    take(Learner(app), "AC", "B", "AC")
    edit(app, settings, "second.en.md", "Choice B of Second", "Another B")
    take(Learner(app), "AC", "B", "A")
    choices = found(app)[0].items["basics/second"].choices

    assert [(c.letter, c.wording["en"], c.n, c.ticked, c.is_current) for c in choices] == [
        ("A", "Choice A of Second", 2, 0, True),
        ("B", "Another B", 1, 1, True),
        ("B", "Choice B of Second", 1, 1, False),
        ("C", "Choice C of Second", 2, 0, True),
        ("D", "Choice D of Second", 2, 0, True),
    ]


def test_a_question_that_left_the_quiz_counts_in_no_total_any_more(app, settings):
    take(Learner(app), "AC", "B", "AC")
    take(Learner(app), "AC", "A", "B")
    (settings.questions / "basics" / "third.en.md").unlink()
    assert app.extensions["steelyard"].live_bank.refresh()
    statistics, _ = found(app)

    assert (statistics.quiz.complete, statistics.quiz.maximum, statistics.quiz.mean) == (2, 2, 1.5)
    assert not statistics.items["basics/third"].in_total
    assert statistics.items["basics/third"].facility == 0.5
    assert "asked no more" in instructor(app).get("/instructor/quizzes/basics").text


@pytest.mark.both_databases
def test_what_remains_of_a_learner_who_left_is_added_and_named(app):
    for _ in range(2):
        take(Learner(app), "AC", "B", "AC")
    with app.app_context():
        store.forget(db.session, db.session.scalar(sa.select(store.Learner.id)))
        db.session.commit()
    statistics, attempts = found(app)
    choice = statistics.items["basics/first"].choices[0]

    assert attempts == statistics.quiz.complete == 1
    assert (choice.n, choice.ticked, choice.removed) == (2, 2, 1)
    page = instructor(app).get("/instructor/quizzes/basics")
    assert "with 1 answer of learners who deleted their data" in page.text


@pytest.mark.parametrize("regrade", ["void", "credit-all"])
def test_a_regraded_question_keeps_the_figures_that_it_had_and_is_in_no_total(app, settings, regrade):
    take(Learner(app), "AC", "A", "A")
    take(Learner(app), "AC", "B", "B")
    take(Learner(app), "AC", "B", "AC")
    before = found(app)[0].items["basics/third"]
    edit(app, settings, "third.en.md", "---\ntech", f"---\nregrade: {regrade}\ntech")
    statistics, _ = found(app)
    after = statistics.items["basics/third"]
    text = instructor(app).get("/instructor/quizzes/basics").text

    assert (after.n, after.facility, after.deviation) == (before.n, before.facility, before.deviation)
    assert (after.n, after.facility) == (3, 0.5)
    assert [choice.ticked for choice in after.choices] == [2, 1, 1, 0]
    assert not after.in_total and after.discrimination is None
    assert (statistics.quiz.maximum, statistics.quiz.complete) == (2, 3)
    words = "void: counts in no total" if regrade == "void" else "credited to all"
    assert f"{words}; its figures are as it was graded · N = 3" in text
    assert f"{words}; its figures are as it was graded 3 50%" in text


@pytest.mark.both_databases
def test_an_exam_counts_once_its_time_is_over(app, settings, monkeypatch):
    from datetime import UTC, datetime, timedelta

    now = datetime(2027, 1, 15, 9, tzinfo=UTC)
    monkeypatch.setattr("steelyard.web.app.clock.now", lambda: now)
    edit(app, settings, "_quiz.en.md", "---\norder", "---\nminutes: 30\norder")
    ada = instructor(app)
    code = ada.create_class()
    learner = join(app, code, "amber")
    page = learner.start("basics", "exam")
    learner.answer(page, "AC")
    before = ada.get("/instructor/quizzes/basics").text
    now += timedelta(minutes=31)
    after = ada.get("/instructor/quizzes/basics").text
    (line,) = table(ada, code)

    assert "Attempts with answers 0" in before
    assert "Attempts with answers 1 of these complete 1" in after
    assert (line["mode"], line["score"], line["maximum"]) == ("exam", "1", "3")


# ---- the page ---------------------------------------------------------------------------------------------


def test_the_page_says_n_and_why_a_figure_is_missing(app):
    ada = instructor(app)
    take(Learner(app), "AC", "B", "AC")
    one = ada.get("/instructor/quizzes/basics").text
    take(Learner(app), "AC", "B", "AC")
    alike = ada.get("/instructor/quizzes/basics").text

    assert "N = 1" in one and "– fewer than 2" in one
    assert "N = 2" in alike and "– no spread" in alike


def test_the_table_is_sorted_by_its_links_and_keeps_the_filter(app):
    ada = instructor(app)
    take(Learner(app), "B", "B", "A")
    page = ada.get("/instructor/quizzes/basics?attempts=all&language=en")
    titles = {"facility": ["First", "Third", "Second"], "-facility": ["Second", "Third", "First"]}

    for sort, expected in titles.items():
        page = ada.get(f"/instructor/quizzes/basics?attempts=all&language=en&sort={sort}")
        rows = re.findall(r'<th scope="row"><a href="#q\d">\d\. (\w+)</a>', page.response.text)
        assert rows == expected
        assert "attempts=all" in page.response.text and page.response.text.count("aria-sort") == 1
    assert "/instructor/quizzes/basics?language=en&attempts=all&sort=facility" in page.links


@pytest.mark.parametrize("query", ["sort=nonsense", "language=xx", "attempts=x", "sort=-", "class="])
def test_an_unknown_filter_is_no_filter(app, query):
    assert instructor(app).get(f"/instructor/quizzes/basics?{query}").status == 200


def test_an_unknown_quiz_or_class_is_not_found(app):
    ada = instructor(app)

    assert ada.get("/instructor/quizzes/none").status == 404
    assert ada.get("/instructor/quizzes/basics?class=22222222").status == 404


def test_the_overview_shows_the_problems_of_the_files(app, settings):
    (settings.questions / "basics" / "broken.en.md").write_text("# Broken", encoding="utf-8")
    assert app.extensions["steelyard"].live_bank.refresh()
    page = instructor(app).get("/instructor")

    assert "questions/basics/broken.en.md:1:1" in page.text and "E007" in page.text
    assert str(settings.questions.parent) not in page.text


# ---- results as a file ------------------------------------------------------------------------------------


def table(ada: Instructor, code: str) -> list[dict[str, str]]:
    response = ada.client.get(f"/instructor/classes/{code}/results/basics")
    assert response.status_code == 200
    return list(csv.DictReader(StringIO(response.data.decode("utf-8-sig"))))


def test_results_are_told_by_pseudonym_attempt_and_question(app):
    ada = instructor(app)
    code = ada.create_class()
    amber, ruby = join(app, code, "琥珀"), join(app, code, "ruby")
    take(amber, "AC", "B", "A")
    take(amber, "AC")
    take(ruby, "B", "B", "AC")
    take(Learner(app), "AC", "B", "AC")
    lines = sorted(table(ada, code), key=lambda line: (line["pseudonym"], line["attempt"]))

    assert [(line["pseudonym"], line["attempt"], line["answered"], line["score"], line["maximum"]) for line in lines] == [
        ("ruby", "1", "3", "2", "3"),
        ("琥珀", "1", "3", "2.5", "3"),
        ("琥珀", "2", "1", "1", "3"),
    ]  # fmt: skip
    assert [lines[1][question] for question in BASICS] == ["1", "1", "0.5"]
    assert [lines[2][question] for question in BASICS] == ["1", "", ""]


def test_a_regraded_score_stands_beside_the_one_that_was_given(app, settings):
    ada = instructor(app)
    code = ada.create_class()
    take(join(app, code, "amber"), "AC", "A", "A")
    edit(app, settings, "second.en.md", "---\ntech", "---\nregrade: credit-all\ntech")
    edit(app, settings, "third.en.md", "---\ntech", "---\nregrade: void\ntech")
    (line,) = table(ada, code)

    assert (line["score"], line["maximum"]) == ("2", "2")
    assert (line["basics/second"], line["basics/second as graded"]) == ("1", "0")
    assert (line["basics/third"], line["basics/third as graded"]) == ("", "0.5")


def test_no_pseudonym_becomes_a_formula(app):
    ada = instructor(app)
    code = ada.create_class()
    for pseudonym in ("=1+1", "+1", "-1", "@SUM(A1)", 'a"b,c', ";=cmd|' /C calc'!A1", "＝1", "anna, -1"):
        take(join(app, code, pseudonym), "AC")
    lines = ada.client.get(f"/instructor/classes/{code}/results/basics").text.splitlines()
    names = {line["pseudonym"] for line in table(ada, code)}

    assert names == {
        *("'=1+1", "'+1", "'-1", "'@SUM(A1)", 'a"b,c', ";'=cmd|' /C calc'!A1", "'＝1", "anna, '-1"),
    }
    assert all(re.fullmatch(r'\ufeff?("([^"]|"")*",)*"([^"]|"")*"', line) for line in lines), "all is quoted"


def test_the_file_begins_with_the_mark_that_excel_looks_for_and_is_saved_under_a_name(app):
    ada = instructor(app)
    code = ada.create_class()
    response = ada.client.get(f"/instructor/classes/{code}/results/basics")

    assert response.data.startswith(b'\xef\xbb\xbf"pseudonym","attempt","mode",')
    assert response.headers["Content-Disposition"] == f'attachment; filename="{code}-basics.csv"'
    assert response.mimetype == "text/csv"
    assert encoded("語").decode("utf-8-sig") == "語"


@pytest.mark.both_databases
def test_the_store_itself_gives_the_results_in_the_order_of_the_attempts(app):
    ada = instructor(app)
    code = ada.create_class()
    take(join(app, code, "amber"), "AC", "B", "A")
    with app.app_context():
        (result,) = results.results(db.session, code, "basics")
        assert results.attempts_by_quiz(db.session, code) == {"basics": 1}
        assert classes.group(db.session, code).members == 1

    assert list(result.scores) == list(BASICS)
