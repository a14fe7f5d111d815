"""Letter keys choose wherever the focus is but in a field; steps of a quiz tell what came of them by their marks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from chromium import follow

pytestmark = pytest.mark.browser


@pytest.fixture
def page(browser: Browser, site: str) -> Iterator[Page]:
    """A question with a field for a guess above its choices."""
    context = browser.new_context(locale="en", base_url=site)
    page = context.new_page()
    page.goto("/questions/lora/peak")
    yield page
    context.close()


def chosen(page: Page) -> list[int]:
    return [index for index, box in enumerate(page.locator(".choices input").all()) if box.is_checked()]


def test_a_letter_chooses_from_anywhere_and_enter_answers(page: Page):
    page.keyboard.press("b")
    assert chosen(page) == [1]
    page.locator(".steps a, .brand").first.focus()
    page.keyboard.press("Shift+A")  # as the choices are lettered
    assert 0 in chosen(page)
    with page.expect_navigation():
        page.keyboard.press("Enter")
    expect(page.locator("#outcome")).to_be_visible()


def test_nothing_is_chosen_while_typing_in_a_field_or_by_a_shortcut(page: Page):
    page.locator("#guess").press_sequentially("12ab")
    for keys in ("Control+b", "Alt+b", "Meta+b"):
        page.locator("body").press(keys)
    assert chosen(page) == []
    expect(page.locator("#guess")).to_have_value("12ab")


def test_letters_are_switched_off_for_good_but_in_the_choices(page: Page):
    hint = page.get_by_text("Type a letter to choose")
    expect(hint).to_be_visible()
    page.get_by_role("button", name="Switch this off").click()
    page.reload()
    expect(hint).to_be_hidden()
    page.keyboard.press("b")
    assert chosen(page) == []
    page.locator(".choices input").first.focus()
    page.keyboard.press("b")
    assert chosen(page) == [1]
    page.get_by_role("button", name="Choose by letter keys").click()
    expect(hint).to_be_visible()


def test_where_the_pointer_is_a_finger_there_is_no_hint(browser: Browser, site: str):
    context = browser.new_context(
        locale="en", base_url=site, viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True
    )
    page = context.new_page()
    page.goto("/questions/lora/peak")
    page.locator(".choices label").first.tap()
    assert chosen(page) == [0]
    expect(page.locator(".keys")).to_be_hidden()
    page.locator("h1").click()
    page.keyboard.press("b")
    assert chosen(page) == [0]
    context.close()


def test_the_steps_tell_what_came_of_each_question_by_a_mark(browser: Browser, site: str):
    context = browser.new_context(locale="en", base_url=site)
    page = context.new_page()

    def mark(step: int) -> str:
        """Return what stands behind the number of a step, and that a screen reader is spared it."""
        text: str = (
            page.locator(".step").nth(step).evaluate("each => getComputedStyle(each, '::after').content")
        )
        return text

    page.goto("/quizzes/peft")
    follow(page.locator("main form button[type=submit]"))
    page.locator(".choices input").first.check()
    follow(page.locator("form.answer button[type=submit]"))
    assert mark(0) == '" ◐" / ""'
    assert mark(1) == "none"
    expect(page.locator(".step").first).to_have_accessible_name("Question 1 : partly right")
    marks = {
        name: page.locator(".step").first.evaluate(
            f"each => (each.className = 'step step-{name}', getComputedStyle(each, '::after').content)"
        )
        for name in ("right", "partly", "wrong", "saved", "todo")
    }
    assert len(set(marks.values())) == len(marks), marks
    context.close()
