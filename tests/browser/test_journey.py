"""A learner takes the project's quizzes in a real browser, to the result page with its evidence."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, expect

from chromium import follow

pytestmark = pytest.mark.browser

START = {"en": "Start", "ja": "はじめる"}


@contextmanager
def learner(
    browser: Browser, site: str, lang: str, script: bool, refused: tuple[str, ...] = ()
) -> Iterator[Page]:
    """A page of a new learner, on which nothing may go wrong and nothing may come from elsewhere.

    `refused` names the statuses with which the browser may report that the site refused a form.
    """
    context = browser.new_context(locale=lang, java_script_enabled=script, base_url=site)
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "request", lambda request: wrong.append(request.url) if not request.url.startswith(site) else None
    )
    yield page
    context.close()
    assert [text for text in wrong if not any(f"status of {status}" in text for status in refused)] == []


def by_mouse(page: Page) -> None:
    """Click the first choice's text, then the button."""
    page.locator(".choices label").first.click()
    follow(page.locator("form.answer button[type=submit]"))


def by_keyboard(page: Page) -> None:
    """Tab into the choices, Space, then Enter, as any browser has it."""
    _tab_into_choices(page)
    page.keyboard.press("Space")
    page.keyboard.press("Enter")


def by_letter(page: Page) -> None:
    """Tab into the choices, choose by letter, then Enter: what the script adds."""
    _tab_into_choices(page)
    page.keyboard.press("b")
    expect(page.locator(".choices input").nth(1)).to_be_checked()
    page.keyboard.press("Enter")


def _tab_into_choices(page: Page) -> None:
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.locator(".choices input:focus").count():
            return
    pytest.fail("Tab does not lead into the choices")


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize(
    ("script", "choose"),
    [(True, by_mouse), (True, by_keyboard), (True, by_letter), (False, by_mouse), (False, by_keyboard)],
    ids=["script-mouse", "script-keyboard", "script-letters", "plain-mouse", "plain-keyboard"],
)
def test_a_quiz_is_taken_to_its_result(
    browser: Browser, site: str, lang: str, script: bool, choose: Callable[[Page], None]
):
    with learner(browser, site, lang, script) as page:
        page.goto("/")
        expect(page.locator("html")).to_have_attribute("lang", lang)
        page.goto("/quizzes/lora")
        follow(page.locator("main form button[type=submit]"))
        questions = page.locator(".steps li").count()
        assert questions >= 5
        for number in range(questions):
            expect(page.locator(".steps [aria-current=step]")).to_have_text(re.compile(rf"\b{number + 1}\b"))
            choose(page)
            expect(page.locator("#outcome")).to_be_visible()
            assert page.locator(".told-choice").count() >= 2
            assert page.locator(".evidence").count() >= 1
            follow(page.locator(".onward a").first)
        expect(page).to_have_url(re.compile(r"/attempts/"))
        assert page.locator(".score-list li").count() == questions
        assert page.locator(".evidence").count() >= questions


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_the_source_question_is_answered_in_full_and_shows_sixteen_claims_judged(
    browser: Browser, site: str, lang: str
):
    with learner(browser, site, lang, script=True) as page:
        page.goto("/questions/peft/techniques")
        boxes = page.locator(".choices input[type=checkbox]")
        assert boxes.count() == 6
        for index in range(6):
            boxes.nth(index).check()
        follow(page.locator("form.answer button[type=submit]"))
        expect(page.locator(".outcome-right")).to_be_visible()
        assert page.locator(".told-hit").count() == 6
        assert page.locator(".evidence").count() >= 16
        # Every verdict in the text leads to its card.
        for link in page.locator("a.claim").all():
            target = link.get_attribute("href") or ""
            assert page.locator(f'[id="{target.removeprefix("#")}"]').count() == 1, target


def test_an_answer_without_a_choice_is_asked_for_again_and_keeps_the_guess(browser: Browser, site: str):
    with learner(browser, site, "en", script=False, refused=("400",)) as page:
        page.goto("/questions/lora/peak")
        page.locator("#guess").fill("40")
        follow(page.locator("form.answer button[type=submit]"))
        expect(page.locator("[role=alert]")).to_be_visible()
        expect(page.locator("#guess")).to_have_value("40")


def test_the_language_switch_keeps_the_page(browser: Browser, site: str):
    with learner(browser, site, "en", script=False) as page:
        page.goto("/techniques/lora")
        follow(page.get_by_role("link", name="日本語"))
        expect(page.locator("html")).to_have_attribute("lang", "ja")
        assert page.url.startswith(f"{site}/techniques/lora")


def test_going_back_after_an_answer_shows_the_answer_not_a_second_try(browser: Browser, site: str):
    with learner(browser, site, "en", script=True) as page:
        page.goto("/quizzes/lora")
        follow(page.locator("main form button[type=submit]"))
        by_mouse(page)
        expect(page.locator("#outcome")).to_be_visible()
        told = page.locator("#outcome").inner_text()
        page.go_back()
        page.reload()
        expect(page.locator("#outcome")).to_have_text(told)
