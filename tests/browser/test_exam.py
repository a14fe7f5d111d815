"""An exam in a real browser: by keyboard alone, through a closed tab, over a network that fails, until time is up."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from axe_playwright_python.sync_playwright import Axe
from flask import Flask
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from bank_files import write_bank
from chromium import follow, serving
from exam_files import MINUTES, Clock, write_exams
from steelyard import store
from steelyard.settings import Settings, project_data, sqlite_url
from steelyard.web import create_app
from steelyard.web.app.database import db, migrate

pytestmark = pytest.mark.browser

AXE = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
HANDED_IN = {"en": "You handed in on", "ja": "に提出しました。"}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    folder = tmp_path_factory.mktemp("exams")
    write_bank(folder / "questions")
    write_exams(folder / "questions")
    (folder / "results").mkdir()
    demos = project_data() / "demos"
    app = create_app(
        Settings(
            data=folder,
            questions=folder / "questions",
            results=folder / "results",
            pages=demos / "pages",
            demos=demos,
            database_url=sqlite_url(folder),
            secret_key="a secret for tests only",
        )
    )
    migrate(app)
    yield app
    with app.app_context():
        app.extensions["sqlalchemy"].engine.dispose()


@pytest.fixture(scope="module")
def site(app: Flask) -> Iterator[str]:
    with serving(app) as address:
        yield address


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("steelyard.web.app.clock.now", clock)
    return clock


@contextmanager
def learner(
    browser: Browser, site: str, *, lang: str = "en", script: bool = True, trouble: tuple[str, ...] = ()
) -> Iterator[BrowserContext]:
    """A new learner's browser, in which nothing may go wrong but what `trouble` names."""
    context = browser.new_context(locale=lang, java_script_enabled=script, base_url=site)
    wrong: list[str] = []
    context.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    context.on("weberror", lambda error: wrong.append(str(error.error)))
    yield context
    context.close()
    assert [text for text in wrong if not any(word in text for word in trouble)] == []


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until what the selector names has the focus."""
    for _ in range(60):
        if page.locator(f":is({selector}):focus").count():
            return
        page.keyboard.press("Tab")
    pytest.fail(f"Tab does not lead to {selector}")


def start(page: Page) -> None:
    page.goto("/quizzes/basics")
    page.locator("#mode-exam").check()
    follow(page.locator("form.start button"))
    expect(page.locator("form[data-save]")).to_be_visible()


def saved(page: Page) -> None:
    expect(page.locator(".save-state")).to_have_text("Saved.")


def attempt(page: Page) -> str:
    return page.url.partition("attempt=")[2]


def drafts(app: Flask, attempt: str) -> list[str]:
    with app.app_context():
        rows = sa.select(store.Draft.chosen).where(store.Draft.attempt == attempt).order_by(store.Draft.id)
        return list(db.session.scalars(rows))


def letter(page: Page, place: int) -> str:
    """Return the letter in the file of the choice at this place on the page."""
    return page.locator(".choices input").nth(place).get_attribute("value") or ""


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize("script", [True, False], ids=["script", "plain"])
def test_a_whole_exam_is_taken_by_keyboard_alone(
    browser: Browser, site: str, app: Flask, lang: str, script: bool
):
    with learner(browser, site, lang=lang, script=script) as context:
        page = context.new_page()
        page.goto("/quizzes/basics")
        tab_to(page, "#mode-practice")
        page.keyboard.press("ArrowDown")
        expect(page.locator("#mode-exam")).to_be_checked()
        tab_to(page, "form.start button")
        page.keyboard.press("Enter")

        expect(page.locator(".steps [aria-current=step]")).to_have_text(re.compile(r"\b1\b"))
        taken = attempt(page)
        tab_to(page, ".choices input")
        first = letter(page, 0)
        page.keyboard.press("Space")
        if script:
            page.keyboard.press("c")
            expect(page.locator(".choices input").nth(2)).to_be_checked()
            first += letter(page, 2)
        tab_to(page, "form.answer button[type=submit]")
        page.keyboard.press("Enter")

        expect(page.locator(".steps [aria-current=step]")).to_have_text(re.compile(r"\b2\b"))
        tab_to(page, ".choices input")
        page.keyboard.press("ArrowDown")
        second = page.locator(".choices input:checked").get_attribute("value")
        page.keyboard.press("Enter")

        expect(page.locator(".steps [aria-current=step]")).to_have_text(re.compile(r"\b3\b"))
        tab_to(page, f"form.answer a[href$='/attempts/{taken}']")
        page.keyboard.press("Enter")
        expect(page.locator(".score-saved")).to_have_count(2)
        tab_to(page, "form[action$='/submit'] button")
        page.keyboard.press("Enter")  # one is blank: asked about, and it is meant
        expect(page.locator("#confirm")).to_be_visible()
        tab_to(page, "form[action$='/submit'] button")
        page.keyboard.press("Enter")
        expect(page.locator("main")).to_contain_text(HANDED_IN[lang])
        expect(page.locator(".score-list li")).to_have_count(3)
    with app.app_context():
        rows = sa.select(store.Answer.question, store.Answer.chosen).where(store.Answer.attempt == taken)
        counted = {row.question: row.chosen for row in db.session.execute(rows)}
    assert counted == {
        "basics/first": "".join(sorted(first)),
        "basics/second": second,
        "basics/third": "",
    }


def test_what_is_ticked_is_in_the_store_before_any_button_and_there_after_a_closed_tab(
    browser: Browser, site: str, app: Flask
):
    with learner(browser, site) as context:
        page = context.new_page()
        start(page)
        taken = attempt(page)
        page.locator(".choices label").nth(0).click()
        page.locator(".choices label").nth(2).click()
        saved(page)
        ticked = "".join(sorted(letter(page, 0) + letter(page, 2)))
        assert drafts(app, taken)[-1] == ticked
        page.close()

        page = context.new_page()
        page.goto("/")
        follow(page.locator(f".hero a[href$='/attempts/{taken}']"))
        expect(page.locator(".score-saved")).to_have_count(1)
        follow(page.locator(".score-saved a"))
        boxes = page.locator(".choices input")
        assert [boxes.nth(place).is_checked() for place in range(4)] == [True, False, True, False]


def test_without_a_script_the_button_saves_and_a_closed_tab_is_resumed(
    browser: Browser, site: str, app: Flask
):
    with learner(browser, site, script=False) as context:
        page = context.new_page()
        start(page)
        taken = attempt(page)
        chosen = letter(page, 1)
        page.locator(".choices input").nth(1).check()
        follow(page.locator("form.answer button[type=submit]"))
        expect(page.locator(".steps [aria-current=step]")).to_have_text(re.compile(r"\b2\b"))
        page.close()
        page = context.new_page()
        page.goto(f"/questions/basics/first?attempt={taken}")

        expect(page.locator(".choices input").nth(1)).to_be_checked()
        expect(page.locator(".time-left time")).to_have_text(f"{MINUTES}:00")
    assert drafts(app, taken) == [chosen]


def test_a_save_that_fails_is_shown_and_tried_again(browser: Browser, site: str, app: Flask):
    with learner(browser, site, trouble=("net::ERR", "status of 500")) as context:
        page = context.new_page()
        start(page)
        taken = attempt(page)
        answers: list[str] = []

        def fail(route: Route) -> None:
            answers.append("lost")
            if len(answers) == 1:
                route.abort()
            elif len(answers) == 2:
                route.fulfill(status=500)
            else:
                route.continue_()

        page.route("**/drafts/**", fail)
        page.locator(".choices label").nth(0).click()
        expect(page.locator(".save-state.save-failed")).to_have_text(re.compile("Not saved yet"))
        assert drafts(app, taken) == []
        saved(page)
        assert drafts(app, taken) == [letter(page, 0)]


def test_the_buttons_request_is_not_overtaken_by_an_earlier_save(browser: Browser, site: str, app: Flask):
    with learner(browser, site) as context:
        page = context.new_page()
        start(page)
        taken = attempt(page)
        ticked = "".join(sorted(letter(page, 0) + letter(page, 2)))
        held: list[Route] = []
        page.route("**/drafts/**", lambda route: held.append(route))
        page.locator(".choices label").nth(0).click()
        expect(page.locator(".save-state")).to_have_text("Saving …")
        page.locator(".choices label").nth(2).click()
        page.locator("form.answer button[type=submit]").click(no_wait_after=True)
        assert drafts(app, taken) == []  # the form waits for what is under way
        held[0].continue_()
        expect(page.locator(".steps [aria-current=step]")).to_have_text(re.compile(r"\b2\b"))
        assert drafts(app, taken)[-1] == ticked

        first = held[0].request  # as if it had been given up, and handled only now
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        assert page.request.post(first.url, data=first.post_data or "", headers=form).status == 204
        assert drafts(app, taken)[-1] == ticked


def test_a_tab_that_goes_on_after_the_end_is_told_what_counts(browser: Browser, site: str, app: Flask):
    with learner(browser, site, trouble=("status of 409",)) as context:
        page, other = context.new_page(), context.new_page()
        start(page)
        taken = attempt(page)
        page.locator(".choices label").nth(0).click()
        saved(page)
        other.goto(f"/attempts/{taken}?confirm=1")
        follow(other.locator("form[action$='/submit'] button"))
        expect(other.locator("main")).to_contain_text(HANDED_IN["en"])
        page.locator(".choices label").nth(1).click()
        expect(page.locator(".save-state")).to_have_text(re.compile("came too late to count"))
        follow(page.locator("form.answer button[type=submit]"))
        expect(page.locator(".notice")).to_have_text(re.compile("came too late to count"))
    assert len(drafts(app, taken)) == 1


def test_the_time_counts_down_is_announced_twice_and_ends_the_exam(browser: Browser, site: str, clock: Clock):
    with learner(browser, site) as context:
        page = context.new_page()
        page.clock.install()
        start(page)
        page.locator(".choices label").nth(0).click()
        saved(page)
        said, time = page.locator(".time-left [role=status]"), page.locator(".time-left time")
        expect(time).to_have_text(re.compile(r"30:00|29:5\d"))
        expect(said).to_have_text("")
        page.clock.fast_forward("25:01")
        expect(said).to_have_text("Five minutes left.")
        page.clock.fast_forward("04:01")
        expect(said).to_have_text("One minute left.")
        expect(time).to_have_class("time-short")

        clock.go(5, minutes=MINUTES)
        page.clock.fast_forward("01:00")
        expect(page).to_have_url(re.compile("/attempts/"))
        expect(page.locator(".notice")).to_have_text(re.compile("The time is up"))
        clock.go(10)
        page.clock.fast_forward("00:20")
        expect(page.locator("main")).to_contain_text("The time was up on")
        expect(page.locator(".score-list li")).to_have_count(3)


def test_the_sheet_of_an_exam_counts_down_too(browser: Browser, site: str):
    with learner(browser, site) as context:
        page = context.new_page()
        page.clock.install()
        start(page)
        follow(page.locator("form.answer a[href*='/attempts/']"))
        page.clock.fast_forward("29:30")
        expect(page.locator(".time-left [role=status]")).to_have_text("One minute left.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("lang", ["en", "ja"])
def test_axe_finds_nothing_on_an_exam_only_quiz_and_what_is_said_until_it_is_told(
    browser: Browser, site: str, lang: str, scheme: str, clock: Clock
):
    context = browser.new_context(
        locale=lang, color_scheme=scheme, viewport={"width": 360, "height": 740}, base_url=site
    )
    page, axe = context.new_page(), Axe()

    def look(sight: str) -> None:
        found = axe.run(page, options=AXE)
        assert found.violations_count == 0, f"{sight}\n{found.generate_report()}"
        assert page.evaluate("document.scrollingElement.scrollWidth") <= 360, sight

    for minutes, sight in ((-60, "early"), (70, "open"), (90, "late"), (-90, "open again")):
        clock.go(minutes=minutes)
        page.goto("/quizzes/final")
        look(sight)
    follow(page.locator("form.start button"))
    follow(page.locator("form.answer a[href*='/attempts/']"))
    follow(page.locator("form[action$='/submit'] button"))
    follow(page.locator("form[action$='/submit'] button"))
    expect(page.locator("h1")).to_be_visible()
    look("handed in")
    context.close()
