"""Technique pages, /compare and run pages with every picture that records can give, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

import published
from chromium import follow

pytestmark = pytest.mark.browser

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
SHARD = published.shard(2, 4)
WORDS = {
    "en": {"chosen": "time per step", "waterfall": "+ 4-bit weights", "rank": "4 ranks"},
    "ja": {"chosen": "1ステップの時間", "waterfall": "+ 4ビットの重み", "rank": "4プロセス"},
}


@pytest.fixture(scope="module")
def lab(
    tmp_path_factory: pytest.TempPathFactory, site_of: Callable[[Path, Path], AbstractContextManager[str]]
) -> Iterator[str]:
    """The address of the project's site over records of every kind, such as the lab publishes them."""
    data: Path = tmp_path_factory.mktemp("lab")
    published.publish(data / "results")
    with site_of(data, data / "results") as address:
        yield address


def addresses() -> list[str]:
    """Return a page of every kind: between them they have every picture and every table."""
    return [
        "/techniques",
        "/techniques/dora",
        "/techniques/stack",
        "/techniques/zero",
        "/compare",
        "/compare?metric=learning.eval_loss_after",
        f"/runs/cpu/{SHARD.slug}",
        f"/runs/cpu/{next(published.quality()).slug}",
    ]


def opened(page: Page) -> None:
    """Open what is folded, but for whole scripts: the listing above has all that they consist of."""
    page.evaluate(
        "document.querySelectorAll('details:not([aria-labelledby=source] *)').forEach(d => d.open = true)"
    )


@pytest.mark.parametrize(("lang", "scheme"), [("en", "light"), ("ja", "dark")])
def test_axe_finds_nothing_on_any_page_of_the_lab(browser: Browser, lab: str, lang: str, scheme: str):
    context = browser.new_context(locale=lang, color_scheme=scheme, base_url=lab)
    page = context.new_page()
    axe = Axe()
    for address in addresses():
        page.goto(address)
        opened(page)
        # Texts, listings and claims are test_access's; to look at them again takes minutes on a loaded machine.
        part = "#measurements" if address.startswith("/techniques/") else None
        found = axe.run(page, context=part, options=RULES)
        assert found.violations_count == 0, f"{address}\n{found.generate_report()}"
    context.close()


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_no_page_of_the_lab_is_wider_than_a_small_telephone(browser: Browser, lab: str, lang: str):
    context = browser.new_context(locale=lang, viewport={"width": 360, "height": 740}, base_url=lab)
    page = context.new_page()
    for address in addresses():
        page.goto(address)
        opened(page)
        width = page.evaluate("document.scrollingElement.scrollWidth")
        assert width <= 360, f"{address} is {width} pixels wide"
        cut = page.evaluate(
            """() => [...document.querySelectorAll('svg.chart text')]
                .filter(text => text.getBoundingClientRect().right > innerWidth)
                .map(text => text.textContent)"""
        )
        assert cut == [], f"{address} cuts words of a picture off"
    context.close()


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize("script", [True, False], ids=["script", "plain"])
def test_a_visitor_walks_from_the_map_to_a_picture_a_comparison_and_a_run(
    browser: Browser, lab: str, lang: str, script: bool
):
    wrong: list[str] = []
    context = browser.new_context(locale=lang, java_script_enabled=script, base_url=lab)
    page = context.new_page()
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))

    page.goto("/techniques")
    expect(page.locator("html")).to_have_attribute("lang", lang)
    follow(page.locator('a[href="/techniques/stack"]'))
    fall = page.locator("figure").first
    expect(fall.locator("svg.chart")).to_be_visible()
    expect(fall.locator("th", has_text=WORDS[lang]["waterfall"])).to_be_visible()

    page.goto("/techniques/zero")
    expect(
        page.locator("figure").first.locator("svg.chart text", has_text=WORDS[lang]["rank"])
    ).to_be_visible()

    follow(page.locator('nav a[href="/compare"]'))
    page.locator("#metric").select_option("speed.step_seconds.median")
    follow(page.locator("form.chooser button"))
    expect(page).to_have_url(re.compile(r"metric=speed\.step_seconds\.median"))
    expect(page.locator("#result")).to_have_text(WORDS[lang]["chosen"])
    expect(page.locator("#metric option:checked")).to_have_text(WORDS[lang]["chosen"])

    page.locator("#setup").select_option(index=1)
    follow(page.locator("form.chooser button"))
    expect(page.locator("#learned")).to_be_visible()
    expect(page.locator("#result")).to_have_text(WORDS[lang]["chosen"])

    page.locator("#all ~ details summary").click()
    follow(page.locator("#all ~ details a").first)
    expect(page).to_have_url(re.compile(r"/runs/cpu/"))
    expect(page.locator("svg.chart").first).to_be_visible()
    context.close()
    assert wrong == []


def test_one_picture_serves_both_themes(browser: Browser, lab: str):
    colours = {}
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme, base_url=lab)
        page = context.new_page()
        page.goto("/techniques/lora")
        colours[scheme] = page.evaluate(
            """() => getComputedStyle(document.querySelector('svg.chart [fill="var(--kind-activations)"]')).fill"""
        )
        context.close()
    assert colours["light"] != colours["dark"]
