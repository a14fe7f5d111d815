"""Will it fit? Chosen, read and followed in a real browser, with scripts and without."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

import planned
from browser.test_access import RULES
from browser.test_journey import learner
from chromium import follow
from planned import LARGE, SMALL

pytestmark = pytest.mark.browser

WORDS = {
    "en": {"title": "Will it fit?", "show": "Show", "fits": "fits", "no": "does not fit", "gpus": "On how many GPUs"},
    "ja": {"title": "収まるか", "show": "表示", "fits": "収まります", "no": "収まりません", "gpus": "GPUが何枚あればよいか"},
}  # fmt: skip


@pytest.fixture(scope="module")
def grid(
    tmp_path_factory: pytest.TempPathFactory, site_of: Callable[[Path, Path], AbstractContextManager[str]]
) -> Iterator[str]:
    """The address of the project's site over the tests' grid."""
    data: Path = tmp_path_factory.mktemp("grid")
    planned.publish(data / "results")
    with site_of(data, data / "results") as address:
        yield address


def choose(page: Page, button: str, **choice: str) -> None:
    for name, value in choice.items():
        page.locator(f"#{name}").select_option(value)
    follow(page.get_by_role("button", name=button, exact=True))


@pytest.mark.parametrize("script", [True, False], ids=["script", "plain"])
@pytest.mark.parametrize("lang", ["en", "ja"])
def test_somebody_chooses_reads_the_answer_and_follows_a_figure(
    browser: Browser, grid: str, lang: str, script: bool
):
    words = WORDS[lang]
    with learner(browser, grid, lang, script) as page:
        page.goto("/")
        follow(page.get_by_role("navigation").get_by_role("link", name=words["title"]))
        answer, command = page.locator(".fit-answer strong"), page.locator(".command code").first
        expect(answer).to_have_text(words["fits"])

        choose(page, words["show"], model=LARGE, technique="lora-mixed-r16", gpu="80")
        expect(answer).to_have_text(words["no"])
        expect(command).to_have_text(
            f"python demos/lora.py --predict --for cuda --model {LARGE} --batch 1 --seq 512"
        )
        expect(page.get_by_role("heading", name=words["gpus"])).to_be_visible()
        expect(page.locator("#model")).to_have_value(LARGE)
        expect(page.get_by_role("button", name="Copy" if lang == "en" else "コピー")).to_have_count(
            2 * script
        )

        choose(page, words["show"], model=SMALL)
        follow(page.locator(".fits tbody tr", has_text="QLoRA").first.get_by_role("link").last)
        expect(page.locator("#technique")).to_have_value("qlora-mixed-r16")
        expect(page.locator("#seq")).to_have_value("2048")
        expect(page.locator("#batch")).to_have_value("4")
        expect(page.locator("#gpu")).to_have_value("80")


def test_the_form_needs_no_mouse(browser: Browser, grid: str):
    with learner(browser, grid, "en", True) as page:
        page.goto("/plan")
        page.locator("#model").focus()
        page.keyboard.press("ArrowDown")
        for _ in range(5):
            page.keyboard.press("Tab")
        expect(page.get_by_role("button", name="Show", exact=True)).to_be_focused()
        with page.expect_navigation():
            page.keyboard.press("Enter")
        expect(page.locator("#model")).to_have_value(LARGE)


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_no_sight_is_wider_than_a_telephone(
    browser: Browser, grid: str, lang: str, scheme: str
):
    context = browser.new_context(
        locale=lang, color_scheme=scheme, base_url=grid, viewport={"width": 360, "height": 740}
    )
    page, axe = context.new_page(), Axe()
    for choice in (
        f"model={SMALL}&gpu=8&technique=baseline-mixed&batch=4",  # tight
        f"model={LARGE}",
        f"model={LARGE}&seq=2048",  # failed
        f"model={LARGE}&technique=baseline-mixed&batch=4&seq=2048",  # missing
    ):
        page.goto(f"/plan?{choice}")
        found = axe.run(page, options=RULES)
        assert found.violations_count == 0, f"{choice}\n{found.generate_report()}"
        assert page.evaluate("document.scrollingElement.scrollWidth") <= 360, choice
    context.close()


def test_the_line_of_the_gpu_stands_where_its_memory_ends(browser: Browser, grid: str):
    """Right of a bar that fits, and as far into one that does not as the GPU is large."""
    with learner(browser, grid, "en", True) as page:
        for gpu, fits in (("8", True), ("80", False)):
            page.goto(f"/plan?model={SMALL if fits else LARGE}&technique=lora-mixed-r16&gpu={gpu}")
            bars = [
                box["x"] + box["width"]
                for bar in page.locator(".load rect").all()
                if (box := bar.bounding_box())
            ]
            line = page.locator(".load-end").bounding_box()
            assert line and (max(bars) < line["x"]) == fits
