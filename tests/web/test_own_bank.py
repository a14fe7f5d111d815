"""A bank that is about something else: the site bears its title, and nothing on it is about techniques."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask import Flask

from bank_files import WORDS
from learner import Learner, Page
from steelyard.settings import Settings

ABOUT_TECHNIQUES = (
    "echnique", "ine-tuning", "eigh", "demos/", "/techniques", "/compare", "/plan", "measure", "scale",
    "手法", "ファインチューニング", "はかり", "測定", "収まるか",
)  # fmt: skip


def question(year: int, language: str = "en") -> str:
    """A question about history whose explanation has numbers that nobody weighs."""
    asked, choices, answer, explanation = WORDS[language]
    return (
        f"# Waterloo {year}\n\n## {asked}\nIn what year?\n\n## {choices}\nA. {year}\n\nB. 1789\n\n"
        f"## {answer}\nA\n\n## {explanation}\nBy 72,000 men, 40 % of them on horses, with 3 GB of paper.\n"
    )


@pytest.fixture
def own(settings: Settings, tmp_path) -> Settings:
    """Settings of a site over two questions about history, one of them in two languages."""
    folder = tmp_path / "own"
    (folder / "history").mkdir(parents=True)
    (folder / "history" / "waterloo.en.md").write_text(question(1815), encoding="utf-8")
    (folder / "history" / "waterloo.ja.md").write_text(question(1815, "ja"), encoding="utf-8")
    (folder / "history" / "leipzig.en.md").write_text(question(1813), encoding="utf-8")
    return replace(settings, questions=folder)


def name_it(own: Settings, app: Flask | None = None) -> None:
    (own.questions / "_quiz.en.md").write_text(
        "# Battles\n\nWhat *happened*, and [one](history/leipzig.en.md).\n", "utf-8"
    )
    (own.questions / "_quiz.ja.md").write_text("# 合戦\n\nなにが起きたか。\n", "utf-8")
    if app:
        assert app.extensions["steelyard"].live_bank.refresh()


def learners_pages(app: Flask, lang: str) -> Iterator[Page]:
    """Yield every page that a learner meets on the way through a quiz and after it."""
    learner = Learner(app)
    learner.client.set_cookie("lang", lang)
    for address in ("/", "/quizzes/history", "/progress", "/review", "/no/such/page", "/join"):
        yield learner.get(address)
    page = learner.start("history")
    yield page
    while page.choices:
        told = learner.answer(page, "A")
        yield told
        page = learner.next(told)
    yield page
    for address in ("/", "/quizzes/history", "/progress", "/review"):
        yield learner.get(address)


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_no_page_of_it_is_about_techniques(own, make_app, lang):
    pages = list(learners_pages(make_app(own), lang))

    assert len(pages) > 12
    for page in pages:
        found = [
            word for word in ABOUT_TECHNIQUES if word in page.text or any(word in url for url in page.links)
        ]
        assert found == [], page.url


@pytest.mark.parametrize(
    ("lang", "title", "introduction"),
    [("en", "Battles", "What happened, and one."), ("ja", "合戦", "なにが起きたか。")],
)
def test_the_folders_own_quiz_file_names_and_introduces_the_site(own, make_app, lang, title, introduction):
    app = make_app(own)
    nameless = Learner(app).get(f"/?lang={lang}")
    name_it(own, app)
    pages = list(learners_pages(app, lang))

    assert (
        "<title>Steelyard</title>" in nameless.response.text
        and "<h1>Steelyard</h1>" in nameless.response.text
    )
    assert (
        f"<title>{title}</title>" in pages[0].response.text and f"<h1>{title}</h1>" in pages[0].response.text
    )
    assert introduction in pages[0].text.replace(" .", ".").replace(" ,", ",")
    for page in pages:
        assert f"<span>{title}</span></a>" in page.response.text, page.url
        assert page is pages[0] or f"{title}</title>" in page.response.text or page.path == "/", page.url
        assert "Steelyard" not in page.text


def test_a_title_is_text_and_an_introduction_is_sanitised(own, make_app):
    (own.questions / "_quiz.en.md").write_text("# A <b>x</b> & co\n\n<script>alert(1)</script>\n", "utf-8")
    html = Learner(make_app(own)).get("/").response.text

    assert "<b>x" not in html and "A &lt;b&gt;x&lt;/b&gt; &amp; co</title>" in html
    assert "<script>alert" not in html


def test_a_link_of_the_introduction_leads_to_the_question(own, make_app):
    name_it(own)

    assert "/questions/history/leipzig" in Learner(make_app(own)).get("/").links


def test_a_file_without_a_title_is_named_and_the_site_stays_as_it_was_called_by_nobody(own, make_app):
    (own.questions / "_quiz.en.md").write_text("Only words.\n", "utf-8")
    page = Learner(make_app(own)).get("/")

    assert "E007" in page.text and "<h1>Steelyard</h1>" in page.response.text


def test_what_is_about_techniques_comes_with_the_first_question_that_names_one(own, make_app):
    app = make_app(own)
    path = own.questions / "history" / "leipzig.en.md"
    path.write_text("---\ntechniques: [lora]\n---\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    assert app.extensions["steelyard"].live_bank.refresh()
    page = Learner(app).get("/")

    assert {"/techniques", "/compare", "/plan"} <= set(page.links)
    assert "Every number, weighed." in page.text


def test_an_introduction_takes_the_place_of_the_projects_words(settings, make_app):
    (settings.questions / "_quiz.en.md").write_text("# Mine\n\nMy LoRA course.\n", "utf-8")
    page = Learner(make_app(settings)).get("/")

    assert "My LoRA course." in page.text and "Every number, weighed." not in page.text
    assert "/techniques" in page.links


@pytest.mark.parametrize("public", [False, True])
def test_strangers_do_not_read_in_which_file_a_question_is(settings, make_app, public):
    learner = Learner(make_app(replace(settings, public=public)))
    page = learner.get("/questions/basics/first")
    told = learner.answer(page, "AC")

    for each in (page, told):
        assert ("basics/first.en.md" in each.response.text) is not public
        assert ('class="origin"' in each.response.text) is not public


def test_a_link_to_report_a_problem_stands_alone_on_a_public_site(settings, make_app):
    site = replace(settings, public=True, report_url="https://example.org/new?title={path}")
    page = Learner(make_app(site)).get("/questions/basics/first")

    assert "https://example.org/new?title=questions/basics/first.en.md" in page.links
    assert "Report a problem" in page.text and "·  Report" not in page.text and "File:" not in page.text
