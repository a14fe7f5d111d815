"""The language and the theme of a page."""

from __future__ import annotations

import pytest

from learner import Learner


@pytest.fixture
def learner(app) -> Learner:
    return Learner(app)


def lang(learner: Learner, url: str = "/", **headers: str) -> str:
    return learner.get(url, **headers).response.text.partition('<html lang="')[2][:2]


def test_a_page_follows_the_browser_until_asked_otherwise(learner):
    japanese = {"Accept-Language": "ja,en;q=0.5"}

    assert lang(learner) == "en"
    assert lang(learner, **japanese) == "ja"
    assert lang(learner, **{"Accept-Language": "fr, de"}) == "en"
    assert lang(learner, "/?lang=en", **japanese) == "en"
    assert lang(learner, **japanese) == "en"


def test_an_unknown_language_is_passed_over(learner):
    assert lang(learner, "/?lang=xx") == "en"
    assert lang(learner, "/?lang=%00<script>") == "en"
    assert learner.client.get_cookie("lang") is None


def test_a_question_is_read_in_the_language_of_the_page_where_it_exists(learner):
    assert "Which of these about 最初?" in learner.get("/questions/basics/first?lang=ja").text
    second = learner.get("/questions/basics/second")
    assert "Which of these about Second?" in second.text
    assert '<article class="column question" lang="en">' in second.response.text


def test_the_switch_stays_on_the_page_and_in_the_attempt(learner):
    page = learner.start("basics")
    (switch,) = [url for url in page.links if url.endswith("lang=ja")]
    japanese = learner.get(switch)

    assert japanese.hidden["attempt"] == page.hidden["attempt"]
    assert japanese.choices == page.choices


def test_a_theme_is_remembered(learner):
    def sheet() -> str:
        return learner.get("/").response.text.partition("css/dark.css")[2].partition(">")[0]

    assert 'media="screen and (prefers-color-scheme: dark)"' in sheet()
    learner.get("/?theme=dark")
    assert 'media="screen"' in sheet()
    learner.get("/?theme=light")
    assert sheet() == ""
    learner.get("/?theme=auto")
    assert "prefers-color-scheme" in sheet()


def test_a_line_break_between_japanese_characters_is_no_space(app, settings, learner):
    path = settings.questions / "basics" / "first.ja.md"
    path.write_text(
        path.read_text(encoding="utf-8").replace("Which of these about", "収めるための\n手法"),
        encoding="utf-8",
    )
    assert app.extensions["steelyard"].live_bank.refresh()

    assert "収めるための手法" in learner.get("/questions/basics/first?lang=ja").text
