"""Moments stand in the browser's own time zone, named in words; without a script in the site's."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser

from chromium import follow

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(
    ("script", "lang", "zone", "name"),
    [
        (True, "en", "America/New_York", "Eastern"),
        (True, "ja", "Europe/Berlin", "中央ヨーロッパ"),
        (False, "en", "America/New_York", "Coordinated Universal Time"),
    ],
)
def test_a_moment_is_told_in_the_zone_of_the_browser(
    browser: Browser, site: str, script: bool, lang: str, zone: str, name: str
):
    context = browser.new_context(locale=lang, timezone_id=zone, java_script_enabled=script, base_url=site)
    page = context.new_page()
    page.goto("/quizzes/lora")
    page.locator("#mode-exam").check()
    follow(page.locator("main form button[type=submit]"))
    follow(page.locator("form.answer a[href*='/attempts/']").last)
    follow(page.locator("form[action$='/submit'] button"))
    follow(page.locator("form[action$='/submit'] button"))
    time = page.locator("time[data-shows=moment]")
    moment = datetime.fromisoformat(time.get_attribute("datetime") or "")
    local = moment.astimezone(ZoneInfo(zone if script else "UTC"))

    assert name in time.inner_text()
    assert str(local.year) in time.inner_text() and f":{local.minute:02}" in time.inner_text()
    assert str(local.hour if lang == "ja" else local.hour % 12 or 12) + ":" in time.inner_text()
    site_zone = "協定世界時" if lang == "ja" else "Coordinated Universal Time"
    assert (site_zone in (time.get_attribute("title") or "")) is script  # at hand where it was replaced
    context.close()
