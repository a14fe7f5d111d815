"""Every sight of the site, in both languages: axe finds nothing in light or in dark, nothing is wider than a telephone.

A sight is led to once. There axe runs whole in light; in dark only the rules that look at colours run again, since the
rest of a page is the same in both; then the window is narrowed. Each language is walked by a browser of its own, both
at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe, AxeResults
from playwright.sync_api import Browser, Page

from chromium import chromium, follow
from instructing import PASSWORD
from steelyard import evidence
from steelyard.settings import project_data

pytestmark = pytest.mark.browser

LANGUAGES = ("en", "ja")
WIDE, NARROW = {"width": 1280, "height": 720}, {"width": 360, "height": 740}

# What passed is not described, which costs more than finding it; no media but pictures is there to load.
BRIEF = {"resultTypes": ["violations"], "preload": {"assets": ["media"]}}
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]} | BRIEF
COLOUR_RULES = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}} | BRIEF


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
        "/plan",
        f"/runs/{run}",
        "/review",
        "/progress",
        "/progress/delete",
        "/privacy",
        "/continue/no-such-link",
        "/no/such/page",
        *(f"/questions/{path.relative_to(project_data() / 'questions').as_posix().removesuffix('.en.md')}"
          for path in sorted((project_data() / "questions").glob("*/[!_]*.en.md"))),
    ]  # fmt: skip


def states(page: Page, addresses: Sequence[str]) -> Iterator[str]:
    """Lead the page through everything that can be looked at and name each sight."""
    quizzes = set()
    for address in addresses:
        page.context.clear_cookies()  # no single learner may answer as fast as this
        page.goto(address)
        yield address
        if address.startswith("/questions/"):
            quiz = address.rpartition("/")[0]
            if quiz not in quizzes:  # the words for a missing choice are the same for every question
                quizzes.add(quiz)
                follow(page.locator("form.answer button[type=submit]"))
                yield f"{address} without a choice"
            page.locator(".choices input").first.check()
            follow(page.locator("form.answer button[type=submit]"))
            _open_details(page)
            yield f"{address} answered"
    page.goto("/quizzes/peft")
    follow(page.locator("main form button[type=submit]"))
    while "/attempts/" not in page.url:
        page.locator(".choices input").first.check()
        follow(page.locator("form.answer button[type=submit]"))
        follow(page.locator(".onward a").first)
    _open_details(page)
    yield "the result of a quiz"


def exam(page: Page) -> Iterator[str]:
    """Look at an exam under way, at its sheet, at the question about blanks, and at an attempt that is gone."""
    page.goto("/quizzes/lora")
    page.locator("#mode-exam").check()
    follow(page.locator("main form button[type=submit]"))
    page.locator(".choices input").first.check()
    yield "a question of an exam"
    follow(page.locator("form.answer a[href*='/attempts/']").last)
    yield "the sheet of an exam"
    follow(page.locator("form[action$='/submit'] button"))
    yield "an exam with blanks"
    follow(page.locator("form[action$='/submit'] button"))
    _open_details(page)
    yield "the result of an exam"
    page.goto(f"/attempts/{'0' * 32}")
    yield "an attempt that is gone"


def own_data(page: Page) -> Iterator[str]:
    """Look at what is kept of a learner who has answered, guessed and reviewed, and at the way to another device."""
    page.goto("/questions/lora/peak?mode=review")
    page.locator("#guess").fill("40")
    page.locator(".choices input").first.check()
    follow(page.locator("form.answer button[type=submit]"))
    yield "an answer in review"
    follow(page.locator(".inline button").first)
    yield "an answer taken back"
    for address in ("/progress", "/progress/delete"):
        page.goto(address)
        _open_details(page)
        yield f"{address} of a learner"
    follow(page.locator("form[action$='/progress/delete'] button"))
    yield "deleting without a tick"
    page.goto("/progress")
    follow(page.locator("form[action$='/progress/continue'] button"))
    yield "a link to another device"
    link = page.locator(".address code").inner_text()
    page.context.clear_cookies()
    page.goto(link)
    yield "the link on another device"


def desk(page: Page) -> Iterator[str]:
    """Look at what an instructor sees, from the login to the end of a class, and at what its learners see."""
    for address in ("/join", "/join/nonsense", "/instructor/quizzes/peft"):
        page.goto(address)
        yield f"{address} of a stranger"
    for password, sight in (("wrong", "a wrong password"), (PASSWORD, "statistics")):
        page.locator("#name").fill("ada")
        page.locator("#password").fill(password)
        follow(page.locator("form[action$='/login'] button"))
        _open_details(page)
        yield sight
    page.goto("/instructor")
    yield "classes and quizzes"
    page.locator("#name").fill("Spring")
    follow(page.locator("form[action$='/classes'] button"))
    yield "a class without members"
    made = page.url
    join = f"/join/{made.rpartition('/')[2]}"
    page.goto(join)
    yield "joining a class"
    page.locator("#pseudonym").fill("amber")
    follow(page.locator("form[action*='/join/'] button"))
    yield "a class that was joined"
    page.goto("/quizzes/peft")
    follow(page.locator("form.start button"))
    page.locator(".choices input").first.check()
    follow(page.locator("form.answer button[type=submit]"))
    page.goto(made)
    yield "a class with a member"
    follow(page.locator("a[href*='/instructor/quizzes/']"))
    yield "statistics of a class"
    page.goto(f"{made}/delete")
    yield "deleting a class"
    follow(page.locator("form[action$='/delete'] button"))
    yield "a class deleted"


def _open_details(page: Page) -> None:
    page.wait_for_load_state()
    page.evaluate("document.querySelectorAll('details').forEach(element => { element.open = true })")


# ---- looking ----------------------------------------------------------------------------------------------


def new_page(browser: Browser, site: str, lang: str) -> Page:
    """Return a page of a new visitor, light and wide, with axe in every document."""
    context = browser.new_context(
        locale=lang, color_scheme="light", reduced_motion="reduce", viewport=WIDE, base_url=site
    )
    context.add_init_script(Axe().axe_script)
    return context.new_page()


def look(page: Page) -> list[str]:
    """Return what is wrong with the sight before us, and leave the page light and wide as it was."""
    page.wait_for_load_state()  # what a click leads to may still be on its way
    page.wait_for_load_state()  # a click waits for the next page to begin, not to be there
    light = _axe(page, RULES)
    page.emulate_media(color_scheme="dark")
    dark = _axe(page, COLOUR_RULES)
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(NARROW)
    width = page.evaluate("document.scrollingElement.scrollWidth")
    page.set_viewport_size(WIDE)
    wrong = [f"in {scheme}: {found}" for scheme, found in (("light", light), ("dark", dark)) if found]
    return wrong + ([f"{width} pixels wide on a telephone"] if width > NARROW["width"] else [])


def _axe(page: Page, options: Mapping[str, Any]) -> str:
    results = AxeResults(page.evaluate("options => axe.run(document, options)", options))
    return results.generate_report() if results.violations_count else ""


def walk(site: str, lang: str) -> dict[str, list[str]]:
    """Return what is wrong with each sight, in a browser of this thread's own."""
    with chromium() as browser:
        page = new_page(browser, site, lang)
        sights = chain(states(page, addresses()), exam(page), own_data(page), desk(page))
        return {sight: look(page) for sight in sights}


@pytest.fixture(scope="module")
def walks(site: str) -> Iterator[Mapping[str, Future[dict[str, list[str]]]]]:
    with ThreadPoolExecutor(len(LANGUAGES)) as threads:
        yield {lang: threads.submit(walk, site, lang) for lang in LANGUAGES}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_no_sight_has_a_finding_of_axe_or_is_wider_than_a_telephone(
    walks: Mapping[str, Future[dict[str, list[str]]]], lang: str
):
    seen = walks[lang].result()
    wrong = [f"{sight}\n{found}" for sight, findings in seen.items() for found in findings]

    assert not wrong, "\n\n".join(wrong)
    assert len(seen) > 25


PLANT = """() => {
  const main = document.querySelector("main");
  const plant = (tag, style) => {
    const element = document.createElement(tag);
    Object.assign(element.style, style);
    return main.appendChild(element);
  };
  plant("img", {}).src = "/static/img/mark.svg";
  plant("p", {color: "light-dark(#bbb, #fff)", background: "light-dark(#fff, #000)"}).textContent = "pale by day";
  plant("p", {color: "light-dark(#000, #444)", background: "light-dark(#fff, #000)"}).textContent = "pale by night";
  plant("p", {width: "500px"}).textContent = "wide";
}"""


def test_the_look_sees_what_is_planted_in_any_kind_of_sight(browser: Browser, site: str):
    page = new_page(browser, site, "en")
    seen = 0
    for sight in states(page, ["/no/such/page", "/questions/lora/peak"]):
        page.evaluate(PLANT)
        light, dark, width = look(page)

        assert "image-alt" in light, sight
        assert "pale by day" in light and "pale by night" not in light, sight
        assert "pale by night" in dark and "pale by day" not in dark, sight
        assert "pixels wide" in width, sight
        seen += 1
    page.context.close()

    assert seen == 5
