"""A learner's own way: reviews, takes an answer back, looks at the progress, goes on elsewhere, and leaves."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from chromium import follow

pytestmark = pytest.mark.browser

WORDS = {
    "en": {"due": "1 question is due.", "answers": "2 answers so far.", "left": "Nothing yet."},
    "ja": {
        "due": "復習の時期が来た問題が1問あります。",
        "answers": "これまでの回答は2件です。",
        "left": "まだ何もありません。",
    },
}


def context(browser: Browser, site: str, lang: str, script: bool) -> BrowserContext:
    return browser.new_context(locale=lang, java_script_enabled=script, base_url=site, accept_downloads=True)


def answer(page: Page) -> None:
    page.locator(".choices input").first.check()
    follow(page.locator("form.answer button[type=submit]"))


def tomorrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steelyard.web.app.clock.now", lambda: datetime.now(UTC) + timedelta(days=1))


@pytest.mark.parametrize(("lang", "script"), [("en", True), ("ja", False)])
def test_a_learner_reviews_takes_back_goes_on_elsewhere_and_leaves(
    browser: Browser, site: str, lang: str, script: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    words = WORDS[lang]
    first, second = (context(browser, site, lang, script) for _ in range(2))
    page, other = first.new_page(), second.new_page()

    page.goto("/questions/lora/peak")
    page.locator("#guess").fill("40")
    answer(page)
    tomorrow(monkeypatch)
    page.goto("/")
    follow(page.locator(".hero a[href$='/review/next']"))
    expect(page).to_have_url(re.compile(r"/questions/lora/peak\?mode=review"))
    answer(page)
    follow(page.locator(".inline button").first)
    expect(page.locator(".lead")).to_have_text(words["due"])

    page.goto("/progress")
    expect(page.locator(".lead")).to_have_text(words["answers"])
    assert page.locator(".scatter-point").count() == 1
    with page.expect_download() as download:
        page.locator("a[href$='/export.json']").click()
    download.value.save_as(tmp_path / "export.json")
    kept = json.loads((tmp_path / "export.json").read_text(encoding="utf-8"))
    assert (len(kept["answers"]), len(kept["undos"]), len(kept["guesses"])) == (2, 1, 1)

    follow(page.locator("form[action$='/progress/continue'] button"))
    expect(page.locator(".qr")).to_be_visible()
    link = page.locator(".address code").inner_text()
    assert link.startswith(f"{site}/continue/")
    other.goto(link)
    follow(other.locator("main form button"))
    expect(other.locator(".lead")).to_have_text(words["answers"])
    other.goto(link)
    expect(other.locator("h1")).to_be_visible()
    assert other.locator("main form").count() == 0

    other.goto("/progress/delete")
    other.locator("input[name=confirm]").check()
    follow(other.locator("main form button"))
    expect(other).to_have_url(re.compile(r"/privacy#remains$"))
    expect(other.locator(".notice")).to_be_visible()
    for left in (page, other):
        left.goto("/progress")
        expect(left.locator(".lead")).to_contain_text(words["left"])
    page.goto("/questions/lora/peak")
    answer(page)
    expect(page.locator("#outcome")).to_be_visible()
    first.close()
    second.close()
