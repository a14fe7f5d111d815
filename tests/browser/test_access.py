"""Every route, in both languages and both themes: no finding of axe, nothing wider than a small telephone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from steelyard import evidence
from steelyard.settings import project_data

pytestmark = pytest.mark.browser

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


def addresses() -> list[str]:
    """Return an address of every kind of page, errors included."""
    run = next(iter(sorted(evidence.load(project_data() / "demos" / "results").by_id)))
    return [
        "/",
        "/quizzes/peft",
        "/quizzes/lora",
        "/techniques",
        "/techniques/baseline",
        "/techniques/lora",
        "/compare",
        f"/runs/{run}",
        "/no/such/page",
        *(f"/questions/{path.relative_to(project_data() / 'questions').as_posix().removesuffix('.en.md')}"
          for path in sorted((project_data() / "questions").glob("*/[!_]*.en.md"))),
    ]  # fmt: skip


def states(page: Page) -> Iterator[str]:
    """Lead the page through everything that can be looked at and name each sight."""
    quizzes = set()
    for address in addresses():
        page.context.clear_cookies()  # no single learner may answer as fast as this
        page.goto(address)
        yield address
        if address.startswith("/questions/"):
            quiz = address.rpartition("/")[0]
            if quiz not in quizzes:  # the words for a missing choice are the same for every question
                quizzes.add(quiz)
                page.locator("form.answer button[type=submit]").click()
                yield f"{address} without a choice"
            page.locator(".choices input").first.check()
            page.locator("form.answer button[type=submit]").click()
            for more in page.locator("details").all():
                more.evaluate("element => element.open = true")
            yield f"{address} answered"
    page.goto("/quizzes/peft")
    page.locator("main form button[type=submit]").click()
    page.locator(".choices input").first.check()
    page.locator("form.answer button[type=submit]").click()
    page.locator(".onward a").first.click()
    for more in page.locator("details").all():
        more.evaluate("element => element.open = true")
    yield "the result of a quiz"


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_any_page(browser: Browser, site: str, lang: str, scheme: str):
    context = browser.new_context(locale=lang, color_scheme=scheme, base_url=site)
    page = context.new_page()
    axe, seen = Axe(), 0
    for sight in states(page):
        found = axe.run(page, options=RULES)
        assert found.violations_count == 0, f"{sight}\n{found.generate_report()}"
        seen += 1
    context.close()
    assert seen > 25


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_no_page_is_wider_than_a_small_telephone(browser: Browser, site: str, lang: str):
    context = browser.new_context(locale=lang, viewport={"width": 360, "height": 740}, base_url=site)
    page = context.new_page()
    for sight in states(page):
        width = page.evaluate("document.scrollingElement.scrollWidth")
        assert width <= 360, f"{sight} is {width} pixels wide"
    context.close()
