"""A demo run from its technique's page, in a real browser, with the real scripts and the tiny model."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from browser.test_access import RULES
from browser.test_journey import learner
from chromium import follow, serving
from memlab.results.record import read
from processes import is_alive
from steelyard.settings import Settings, project_data, sqlite_url
from steelyard.web import create_app
from steelyard.web.app.database import migrate
from steelyard.web.lab import Lab
from web.lab_site import TINY, wait_until

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(os.name != "posix", reason="process groups"),
]

WORDS = {
    "en": {"run": "Run", "cancel": "Cancel", "cancelled": "cancelled", "done": "done", "beside": "Beside the published record"},
    "ja": {"run": "実行", "cancel": "中止", "cancelled": "中止しました", "done": "完了", "beside": "公開済みの記録との対比"},
}  # fmt: skip


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The project's own demos, writing elsewhere than into the checkout."""
    with Lab(project_data() / "demos", tmp_path_factory.mktemp("out")) as lab:
        yield lab


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the published records, to publish more."""
    return Path(
        shutil.copytree(project_data() / "demos" / "results", tmp_path_factory.mktemp("p") / "results")
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, lab: Lab, results: Path) -> Iterator[str]:
    """The address of the site as `steelyard serve --with-demos` would show it."""
    data, project = tmp_path_factory.mktemp("site"), project_data()
    settings = Settings(
        data=data,
        questions=project / "questions",
        results=results,
        pages=project / "demos" / "pages",
        demos=lab.demos,
        database_url=sqlite_url(data),
        secret_key="a secret for tests only",
    )
    app = create_app(settings, lab)
    migrate(app)
    with serving(app) as address:
        yield address
    with app.app_context():
        app.extensions["sqlalchemy"].engine.dispose()


@pytest.fixture
def warm_demos(warm_python: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the site start demos in a Python that has torch already."""
    monkeypatch.setattr(sys, "executable", warm_python)


@contextmanager
def reader(browser: Browser, site: str, lab: Lab, lang: str = "en", script: bool = True) -> Iterator[Page]:
    """The page of somebody who has opened the link of the terminal; nothing may go wrong on it."""
    with learner(browser, site, lang, script, refused=("400",)) as page:
        told: list[str] = []
        lab.guard.announce(told.append)
        page.goto(f"/lab/open?token={told[0]}")
        expect(page.get_by_role("status")).to_be_visible()
        yield page


def start(page: Page, lang: str = "en", technique: str = "lora", **fields: str) -> None:
    """Fill in the form of a technique's page and press its button."""
    page.goto(f"/techniques/{technique}")
    if not page.locator(".run-form").is_visible():
        page.locator(".run-again > summary").click()
    for name, value in (TINY | fields).items():
        field = page.locator(f"#run-{name}")
        if field.evaluate("element => element.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)
    follow(page.get_by_role("button", name=WORDS[lang]["run"], exact=True))


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_a_run_is_started_followed_and_cancelled(browser: Browser, site: str, lab: Lab, lang: str):
    """The line of memory grows without a reload, and after the press of a button nothing of the run is left."""
    with reader(browser, site, lab, lang) as page:
        start(page, lang, steps="500")
        expect(page).to_have_url(re.compile(r"/techniques/lora#run$"))
        line = page.locator(".run-chart polyline").first
        expect(line).to_have_attribute("points", re.compile(r"(\S+ ){3}"))
        drawn = line.get_attribute("points") or ""
        expect(line).not_to_have_attribute("points", drawn)
        expect(page.locator(".run-bytes").first).to_have_text(re.compile(r"MiB|GiB"))
        run = lab.latest("lora")
        assert run is not None and run.pid is not None
        pid = run.pid
        page.get_by_role("button", name=WORDS[lang]["cancel"]).click()
        expect(page.locator(".run-state")).to_have_text(WORDS[lang]["cancelled"])
    assert not is_alive(pid)
    assert run.records == {}, "what was cancelled leaves no record"


@pytest.mark.usefixtures("warm_demos")
@pytest.mark.parametrize("script", [True, False], ids=["script", "plain"])
def test_a_run_is_started_and_its_result_stands_beside_the_published_record(
    browser: Browser, site: str, lab: Lab, results: Path, script: bool
):
    """With scripts the result appears by itself; without, a link refreshes the page until it is there."""
    with reader(browser, site, lab, script=script) as page:
        start(page)
        state = page.locator(".run-state")
        if not script:
            follow(page.locator(".run-refresh"))
            expect(page).to_have_url(re.compile(r"/lab/runs/\d+$"))
            while state.inner_text() in ("waiting for its turn", "running"):
                follow(page.locator(".run-refresh"))
        expect(state).to_have_text("done")
        found, beside = page.locator(".run-found"), page.locator(".run-beside")
        expect(found).to_contain_text("peak memory")
        expect(found.locator("th[scope=col]")).to_have_count(3)
        # The published record is of the real model: told, and not compared.
        expect(beside).to_contain_text("The setups differ, so the figures are not compared")
        expect(beside.locator(".differences")).to_contain_text("tiny")

        run = lab.latest("lora")
        assert run is not None
        (name,) = (name for name in run.records if name.startswith("lora"))
        shutil.copy(lab.out / f"{name}.json", results / "cpu")
        page.goto(f"/lab/runs/{run.number}")
        while beside.locator(".differences").count():  # the site looks at its records once a second
            page.reload()
        expect(beside).to_contain_text("Published")
        expect(beside.get_by_role("row", name="peak memory")).to_contain_text("the same")
        (results / "cpu" / f"{name}.json").unlink()


def test_a_run_that_is_killed_is_recorded_as_failed_and_the_site_stays_up(
    browser: Browser, site: str, lab: Lab
):
    with reader(browser, site, lab) as page:
        start(page, technique="baseline", steps="500")
        run = lab.latest("baseline")
        assert run is not None
        wait_until(lab, run, lambda run: bool(run.parts) and run.parts[0].state == "train")
        os.kill(run.pid or 0, signal.SIGKILL)
        expect(page.locator(".run-state")).to_have_text("failed")
        expect(page.locator(".run-live .trouble")).to_contain_text("killed by signal 9")
    (path,) = (lab.out / f"{name}.json" for name in run.records)
    record = read(path)
    assert (
        record.status == "failed" and record.message == "killed by signal 9, while training, the clean pass"
    )
    assert (record.setup.model, record.setup.steps) == ("tiny", 500)


@pytest.mark.usefixtures("warm_demos")
@pytest.mark.parametrize(("lang", "scheme"), [("en", "light"), ("ja", "dark")])
def test_axe_finds_nothing_on_the_panel(browser: Browser, site: str, lab: Lab, lang: str, scheme: str):
    """Closed, with a mistake in the form, while it runs, and after its end; on a small telephone too."""
    context = browser.new_context(
        locale=lang, color_scheme=scheme, base_url=site, viewport={"width": 360, "height": 740}
    )
    page, axe = context.new_page(), Axe()

    def look(sight: str) -> None:
        found = axe.run(page, options=RULES)
        assert found.violations_count == 0, f"{sight}\n{found.generate_report()}"
        assert page.evaluate("document.scrollingElement.scrollWidth") <= 360, sight

    page.goto("/techniques/baseline")
    look("closed")
    told: list[str] = []
    lab.guard.announce(told.append)
    page.goto(f"/lab/open?token={told[0]}")
    start(page, lang, technique="baseline", batch="3", lr="none")
    expect(page.get_by_role("alert")).to_be_visible()
    look("a mistake")
    start(page, lang, technique="baseline")
    expect(page.locator(".run-bytes").first).to_have_text(re.compile("MiB"))
    look("running")
    expect(page.locator(".run-state")).to_have_text(WORDS[lang]["done"])
    look("ended")
    page.locator(".run-again > summary").click()
    look("ended, with the form open")
    run = lab.latest("baseline")
    assert run is not None
    page.goto(f"/lab/runs/{run.number}")
    look("the run's own page")
    context.close()
