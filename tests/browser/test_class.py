"""An instructor makes a class, a learner joins it by its code and answers, and the instructor sees it."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from browser.test_journey import by_keyboard, learner
from chromium import follow
from instructing import PASSWORD

pytestmark = pytest.mark.browser

WORDS = {"en": ("Statistics", "N = 1"), "ja": ("統計", "N = 1")}


@pytest.mark.parametrize(("lang", "script"), [("en", True), ("ja", False)])
def test_a_class_from_its_making_to_its_results(
    browser: Browser, site: str, lang: str, script: bool, tmp_path: Path
):
    statistics, n = WORDS[lang]
    with learner(browser, site, lang, script) as desk, learner(browser, site, lang, script) as page:
        desk.goto("/instructor")
        desk.locator("#name").fill("ada")
        desk.locator("#password").fill(PASSWORD)
        with desk.expect_navigation():
            desk.locator("#password").press("Enter")
        desk.locator("#name").fill(f"Class {lang}")
        with desk.expect_navigation():
            desk.locator("#name").press("Enter")
        expect(desk.locator("h1")).to_have_text(f"Class {lang}")
        code = desk.locator(".join-code").inner_text()

        page.goto("/join")
        page.locator("#code").fill(code.lower())
        with page.expect_navigation():
            page.locator("#code").press("Enter")
        expect(page.locator("h1")).to_have_text(f"Class {lang}")
        pseudonym = page.locator("#pseudonym").input_value()
        with page.expect_navigation():
            page.locator("#pseudonym").press("Enter")
        expect(page.locator(".lead")).to_contain_text(pseudonym)
        follow(page.locator(".question-list a[href$='/quizzes/dora']"))
        follow(page.locator("form.start button"))
        questions = page.locator(".steps li").count()
        for _ in range(questions):
            by_keyboard(page)
            follow(page.locator(".onward a").first)
        expect(page.locator(".score-list li")).to_have_count(questions)

        desk.reload()
        expect(desk.locator(".members th[scope=row]")).to_have_text(pseudonym)
        with desk.expect_download() as download:
            desk.get_by_role("link", name="CSV").click()
        saved = tmp_path / download.value.suggested_filename
        download.value.save_as(saved)
        (line,) = csv.DictReader(saved.read_text(encoding="utf-8-sig").splitlines())
        assert (line["pseudonym"], line["answered"], line["maximum"]) == (
            pseudonym,
            str(questions),
            str(questions),
        )

        follow(desk.get_by_role("link", name=statistics))
        expect(desk.locator(".item").first).to_contain_text(n)
        assert desk.locator(".item").count() == desk.locator(".statistics tbody tr").count() == questions
        score = sum(float(value) for name, value in line.items() if name.startswith("dora/"))
        assert score == pytest.approx(float(line["score"]), abs=1e-4)
