"""Will it fit? Chosen, read and followed in a real browser, with scripts and without."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

import planned
from browser.test_access import RULES
from browser.test_journey import learner
from browser.test_lab_run import reader
from chromium import follow, serving
from planned import LARGE, SMALL
from steelyard.settings import Settings, project_data, sqlite_url
from steelyard.web import create_app
from steelyard.web.app.database import migrate
from steelyard.web.lab import Lab

pytestmark = pytest.mark.browser

CONFIG = """{
  "model_type": "llama", "vocab_size": 512, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
  "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128
}"""

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


# ---- any other model ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The project's own demos, writing elsewhere than into the checkout."""
    with Lab(project_data() / "demos", tmp_path_factory.mktemp("out")) as lab:
        yield lab


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory, lab: Lab) -> Iterator[str]:
    """The address of the site as `steelyard serve --with-demos` would show it, over the tests' grid."""
    data, project = tmp_path_factory.mktemp("asking"), project_data()
    planned.publish(data / "results")
    app = create_app(
        Settings(
            data=data,
            questions=project / "questions",
            results=data / "results",
            pages=project / "demos" / "pages",
            demos=lab.demos,
            database_url=sqlite_url(data),
            secret_key="a secret for tests only",
        ),
        lab,
    )
    migrate(app)
    with serving(app) as address:
        yield address
    with app.app_context():
        app.extensions["sqlalchemy"].engine.dispose()


@pytest.mark.skipif(os.name != "posix", reason="process groups")
def test_any_model_is_predicted_by_its_config_and_shown_like_one_of_the_grid(
    browser: Browser, asking: str, lab: Lab
):
    """By the real demo, in a process of its own; what it refuses is told in its own line."""
    axe = Axe()

    def look(page: Page, sight: str) -> None:
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            found = axe.run(page, options=RULES)
            assert found.violations_count == 0, f"{sight} in {scheme}\n{found.generate_report()}"
        assert page.evaluate("document.scrollingElement.scrollWidth") <= 360, sight

    def ask(page: Page, **fields: str) -> None:
        page.goto("/plan")
        page.locator("#ask-config").fill(fields.pop("config", CONFIG))
        page.locator("#ask-technique").select_option("lora")
        for name, value in fields.items():
            page.locator(f"#ask-{name}").fill(value)
        follow(page.get_by_role("button", name="Predict", exact=True))

    with reader(browser, asking, lab) as page:
        page.set_viewport_size({"width": 360, "height": 740})
        ask(page, config="{nonsense")
        expect(page.get_by_role("alert")).to_contain_text("This is not JSON")
        expect(page.locator("#ask-config")).to_have_value("{nonsense")
        look(page, "a mistake")

        ask(page, seq="64")
        expect(page.locator(".run-state")).to_have_text("done")
        found = page.locator(".run-found", has_text="LoRA")
        expect(found.locator("td.fit-yes")).to_have_count(8)
        expect(found).to_contain_text("The peak comes in the")
        expect(found.locator(".command")).to_contain_text("python demos/lora.py")
        expect(found.get_by_role("button", name="Copy")).to_be_visible()
        look(page, "a prediction")

        ask(page, seq="512")
        expect(page.locator(".run-state")).to_have_text("refused")
        expect(page.locator(".run-live .trouble")).to_contain_text("reads at most 128 tokens")
