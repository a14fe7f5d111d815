"""One whole journey on either database: an instructor makes a class, a learner joins, practises, sits an exam."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from click.testing import CliRunner
from playwright.sync_api import Browser, Page, expect

from chromium import follow
from steelyard.cli import main
from steelyard.settings import project_data

pytestmark = pytest.mark.browser

PASSWORD = "a password for tests only"


def start(page: Page, mode: str) -> int:
    """Start the project's first quiz; return how many questions it has."""
    page.goto("/quizzes/peft")
    page.locator(f"form.start input[name=mode][value={mode}]").check()
    follow(page.locator("form.start button[type=submit]"))
    return page.locator(".steps li").count()


def answer(page: Page) -> None:
    page.locator(".choices input").first.check()
    follow(page.locator("form.answer button[type=submit]"))


@pytest.mark.both_databases
def test_an_instructor_and_a_learner_get_through_on_either_database(
    browser: Browser,
    site_of: Callable[..., AbstractContextManager[str]],
    database_url: str,
    tmp_path: Path,
):
    with site_of(tmp_path, project_data() / "demos" / "results", database_url) as site:
        added = CliRunner().invoke(
            main,
            ["instructor", "add", "grace", "--password-stdin"],
            input=PASSWORD,
            env={"STEELYARD_DATA": str(tmp_path), "STEELYARD_DATABASE_URL": database_url},
        )
        assert added.exit_code == 0, added.output
        grace, learner = (browser.new_context(locale="en", base_url=site).new_page() for _ in range(2))

        grace.goto("/instructor/login")
        grace.locator("#name").fill("grace")
        grace.locator("#password").fill(PASSWORD)
        follow(grace.locator("form.fields button"))
        grace.locator("#name").fill("First day")
        follow(grace.locator("form.fields button"))
        code = grace.url.rpartition("/")[2]

        learner.goto(f"/join/{code}")
        pseudonym = learner.locator("#pseudonym").input_value()
        follow(learner.locator("form.fields button"))
        expect(learner.locator(".lead")).to_contain_text(pseudonym)

        questions = start(learner, "practice")
        assert questions >= 5
        for _ in range(questions):
            answer(learner)
            expect(learner.locator("#outcome")).to_be_visible()
            follow(learner.locator(".onward a").first)
        expect(learner).to_have_url(re.compile(r"/attempts/"))
        assert learner.locator(".score-list li").count() == questions

        assert start(learner, "exam") == questions
        for _ in range(questions):
            answer(learner)
        assert learner.locator(".score-saved").count() == questions
        follow(learner.locator("main form button").first)
        expect(learner.locator(".score-list li")).to_have_count(questions)
        assert learner.locator("main form[action$=submit]").count() == 0

        learner.goto("/progress")
        expect(learner.locator(".lead")).to_have_text(f"{2 * questions} answers so far.")
        grace.reload()
        expect(grace.locator("main")).to_contain_text(pseudonym)
        with grace.expect_download() as download:
            grace.locator("a[href*='/results/peft']").click()
        download.value.save_as(tmp_path / "results.csv")
        lines = (tmp_path / "results.csv").read_text(encoding="utf-8-sig").splitlines()
        assert sum(pseudonym in line for line in lines) == 2  # the practice and the exam
        grace.context.close()
        learner.context.close()
