"""The head of each page: one row at every width, and a menu where the window is too narrow for all of it."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from chromium import follow

pytestmark = pytest.mark.browser

PHONE = {"width": 390, "height": 844}
ROW = 72
"""More than one row of the masthead takes, in pixels, and less than two."""


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_the_head_is_one_row_at_every_width(browser: Browser, site: str, lang: str):
    page = browser.new_page(locale=lang, base_url=site)
    page.goto("/privacy")
    page.locator(".brand span").evaluate(
        "brand => { brand.textContent += ' of whatever somebody calls it'.repeat(5) }"
    )
    for width in (320, 390, 600, 768, 900, 928, 929, 1000, 1280):
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate("document.querySelector('.masthead').offsetHeight") < ROW, width
        assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    page.close()


@pytest.mark.parametrize(
    ("lang", "menu", "first", "other"),
    [("en", "Menu", "Quizzes", "日本語"), ("ja", "メニュー", "クイズ", "English")],
)
def test_on_a_phone_the_menu_opens_by_keyboard_and_holds_the_language_without_a_script(
    browser: Browser, site: str, lang: str, menu: str, first: str, other: str
):
    context = browser.new_context(locale=lang, base_url=site, viewport=PHONE, java_script_enabled=False)
    page = context.new_page()
    page.goto("/privacy")
    head = page.get_by_role("banner")
    assert head.get_by_role("link").count() == 1  # the closed menu is hidden from all, and Tab passes it over
    for _ in range(3):  # the way to the content, the start page, the menu
        page.keyboard.press("Tab")
    expect(head.locator("summary")).to_be_focused()
    expect(head.locator("summary")).to_have_text(menu)
    page.keyboard.press("Enter")
    expect(head.get_by_role("link", name=first)).to_be_visible()
    page.keyboard.press("Tab")
    expect(head.get_by_role("link", name=first)).to_be_focused()
    follow(head.get_by_role("link", name=other))
    expect(page.locator("html")).to_have_attribute("lang", "ja" if lang == "en" else "en")
    expect(head.get_by_role("link", name=first)).to_have_count(0)
    context.close()


def test_axe_finds_nothing_in_the_open_menu(browser: Browser, site: str):
    for scheme in ("light", "dark"):
        context = browser.new_context(locale="en", base_url=site, viewport=PHONE, color_scheme=scheme)
        page = context.new_page()
        page.goto("/privacy")
        page.locator(".menu summary").click()
        found = Axe().run(page, context=".masthead")
        assert not found.violations_count, found.generate_report()
        context.close()
