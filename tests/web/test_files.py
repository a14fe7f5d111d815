"""What pages say about the questions' files: problems in place, their line, and what was weighed in them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from learner import Learner
from records import make_record


@pytest.fixture
def learner(app) -> Learner:
    return Learner(app)


def refresh(app) -> None:
    assert app.extensions["steelyard"].live_bank.refresh()


def test_a_broken_file_shows_its_problems_in_its_place_and_harms_no_other(app, settings, learner):
    (settings.questions / "basics" / "broken.en.md").write_text("# No question\n", encoding="utf-8")
    refresh(app)
    page = learner.get("/questions/basics/broken")

    assert page.status == 503
    assert "questions/basics/broken.en.md:1:1" in page.text and "E007" in page.text
    assert "E007" in learner.get("/quizzes/basics").text
    assert learner.get("/questions/basics/first").status == 200


@pytest.mark.parametrize(("old", "new"), [("\nD. Choice D of 最初\n", ""), ("\nA, C\n", "\nB\n")])
def test_a_language_that_clashes_with_another_is_left_out_and_told_of(app, settings, learner, old, new):
    path = settings.questions / "basics" / "first.ja.md"
    text = path.read_text(encoding="utf-8").replace("\n### D. Choice D of 最初\nFeedback on D of 最初.\n", "")
    path.write_text(text.replace(old, new), encoding="utf-8")
    assert app.extensions["steelyard"].live_bank.refresh()
    page = learner.get("/questions/basics/first?lang=ja")

    assert (page.status, len(page.choices)) == (200, 4)
    assert "Which of these about First?" in page.text
    assert "questions/basics/first.ja.md:" in learner.get("/quizzes/basics").text


def test_strangers_see_no_problems_of_files(settings, make_app):
    (settings.questions / "basics" / "broken.en.md").write_text("# No question\n", encoding="utf-8")
    learner = Learner(make_app(replace(settings, public=True)))
    pages = [learner.get(url) for url in ("/", "/quizzes/basics", "/questions/basics/broken")]

    assert [page.status for page in pages] == [200, 200, 503]
    assert not [page for page in pages if "E007" in page.text or "broken.en.md" in page.text]


@pytest.mark.parametrize("public", [False, True])
def test_a_claim_that_records_refute_is_told_of_on_the_local_start_page_at_its_line(
    settings, make_app, public
):
    app = make_app(replace(settings, public=public))
    make_record("baseline", peak=1000).write(settings.results / "cpu")
    make_record("lora", peak=750).write(settings.results / "cpu")
    app.extensions["steelyard"].live_records.refresh()
    agreeing = Learner(app).get("/").text
    make_record("lora", peak=990).write(settings.results / "cpu")
    app.extensions["steelyard"].live_records.refresh()
    refuted = Learner(app).get("/").text

    assert "E040" not in agreeing
    assert ("questions/basics/first.en.md:7:5" in refuted and "E040" in refuted) is not public


def test_a_question_names_its_file_and_line_and_links_them_where_links_are_set(settings, make_app):
    linked = replace(
        settings,
        edit_url="https://example.org/edit/{path}#L{line}",
        report_url="https://example.org/new?title={path}:{line}",
    )
    plain = Learner(make_app(settings)).get("/questions/basics/first")
    page = Learner(make_app(linked)).get("/questions/basics/first")

    assert "questions/basics/first.en.md:" in plain.text
    (edit_link,) = [url for url in page.links if url.startswith("https://example.org/edit/")]
    line = int(edit_link.partition("#L")[2])
    source = (settings.questions / "basics" / "first.en.md").read_text(encoding="utf-8").split("\n")
    assert source[line - 1] == "Which of these about First?"
    assert f"https://example.org/new?title=questions/basics/first.en.md:{line}" in page.links


def test_a_question_without_claims_says_that_its_numbers_are_not_weighed(app, settings, learner):
    path = settings.questions / "more" / "alone.en.md"
    text = path.read_text(encoding="utf-8")
    front, _, body = text.partition("claims:")
    body = body.partition("---\n")[2].replace("[saves 25 %](#a-claim)", "saves 25 % or 40 %")
    path.write_text(f"{front}---\n{body}", encoding="utf-8")
    refresh(app)
    told = learner.answer(learner.get("/questions/more/alone"), ["A"])

    assert "None of the 2 numbers of this explanation has been weighed." in told.text


def test_a_number_counts_as_weighed_once_something_decides_its_claim(app, settings, learner):
    before = learner.answer(learner.start("basics"), ["A"])
    make_record("baseline", peak=1000).write(settings.results / "cpu")
    make_record("lora", peak=750).write(settings.results / "cpu")
    app.extensions["steelyard"].live_records.refresh()

    assert "0 of 1 numbers weighed" in before.text
    assert "1 of 1 numbers weighed" in learner.get(before.url).text


def test_an_address_in_a_source_or_a_citation_becomes_a_link(app, settings, learner):
    path = settings.questions / "more" / "alone.en.md"
    text = path.read_text(encoding="utf-8").replace(
        '"A source"', '"A table, https://example.org/read-me#table"'
    )
    cited = '{cite: "A file (1 to 2 s), https://example.org/file", value: 2, within: [2, 2]}'
    before, _, after = text.partition("tests: [")
    path.write_text(f"{before}tests: [{cited}]{after.partition(']}]')[2]}", encoding="utf-8")
    refresh(app)
    told = learner.answer(learner.get("/questions/more/alone"), ["A"])

    assert {"https://example.org/read-me#table", "https://example.org/file"} <= {*told.links}
