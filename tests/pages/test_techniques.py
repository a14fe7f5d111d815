"""The technique map and pages: figures straight from the records, and what the script changes."""

from __future__ import annotations

import json
import re

import pytest

import published
from bank_files import question_text
from memlab.results.record import Record
from pages.world import World, visible
from records import make_record
from steelyard.web.evidence.technique_figures import figures
from steelyard.web.text.technique_texts import title

TEXT = """# Low rank

The **lead** says what it does.

## What it does

It [saves memory](#lora-saves) and keeps $r$ small.
"""

QUESTION = """---
techniques: [lora]
claims:
  - id: lora-saves
    says: LoRA saves half of the peak.
    verdict: does-not-hold
    tests: [{of: lora, against: baseline, take: saving, within: [0.5, null], expect: false}]
  - id: of-another
    says: Another claim.
    verdict: open
---
# How much?

## Question

How much does it save?

## Choices

A. Some

B. All

## Answer

A

## Explanation

It was weighed.
"""


@pytest.fixture
def measured(world: World) -> World:
    """LoRA and the baseline in both precisions, three seeds each."""
    for seed in range(3):
        for precision, autocast, base in (("mixed", "bfloat16", 10_000), ("bf16", None, 8_000)):
            both = {"seed": seed, "precision": precision, "autocast": autocast}
            world.record(make_record("baseline", peak=base, static=4000, **both))
            world.record(
                make_record("lora", peak=6_500 + 10 * seed, static=1000, step_seconds=1.5 + seed / 10, **both)
            )
    world.write("pages/lora.en.md", TEXT)
    world.write("questions/lora/much.en.md", QUESTION)
    return world


def table(html: str, number: int) -> dict[str, list[str]]:
    """Return a table of figures as row head → cells."""
    body = re.findall(r'<table class="figures">(.*?)</table>', html, re.DOTALL)[number]
    rows = re.findall(r'<tr><th scope="row"[^>]*>(.*?)</th>(.*?)</tr>', body, re.DOTALL)
    return {
        head: [visible(cell) for cell in re.findall(r"<td>(.*?)</td>", cells, re.DOTALL)]
        for head, cells in rows
    }


def test_the_map_gives_saving_precision_and_device(measured: World) -> None:
    words = visible(measured.client().get("/techniques").text)
    assert "Low rank The lead says what it does." in words
    assert (
        "34.9% less peak memory against full fine-tuning in mixed precision (fp32 weights, bf16 autocast)"
        " · measured on a CPU: a test's processor" in words
    )
    assert "18.6% less peak memory against full fine-tuning in pure bf16 · measured on a CPU" in words
    assert "GPU" not in words


def test_the_table_shows_the_records_figures_with_their_spread(measured: World) -> None:
    html = measured.client().get("/techniques/lora").text
    mixed, bf16 = table(html, 0), table(html, 1)
    assert mixed["peak memory"] == ["9.8 KiB", "6.4 KiB (6.3 KiB to 6.4 KiB)", "34.9% less"]
    assert mixed["memory between two steps"] == ["3.9 KiB", "1.0 KiB", "75.0% less"]
    assert mixed["time per step"] == ["2.00 s", "1.60 s (1.50 s to 1.70 s)", "20.0% less"]
    assert mixed["held-out loss before"] == ["3.000", "3.000", "the same"]
    assert bf16["peak memory"][2] == "18.6% less"


def test_tampering_with_a_record_changes_the_page(measured: World) -> None:
    before = measured.client().get("/techniques/lora").text
    path = next((measured.root / "results" / "cpu").glob("lora-mixed-seed1-*.json"))
    record = json.loads(path.read_text())
    record["memory"]["peak_bytes"] = 9_999
    path.write_text(json.dumps(record))
    after = measured.client().get("/techniques/lora").text
    assert "9.8 KiB)" in visible(after).replace(" )", ")")
    assert before != after


def test_the_text_is_rendered_with_its_verdicts(measured: World) -> None:
    html = measured.client().get("/techniques/lora").text
    assert "<h1>Low rank</h1>" in html
    assert "<h2>What it does</h2>" in html
    assert '<a class="claim" href="#claim-lora-saves"' in html
    assert 'id="claim-lora-saves"' in html
    assert "<math>" in html


def test_claims_about_another_technique_stay_away(measured: World) -> None:
    assert "of-another" not in measured.client().get("/techniques/lora").text


def test_questions_about_the_technique_are_linked(measured: World) -> None:
    assert '<a href="/questions/lora/much">How much?</a>' in measured.client().get("/techniques/lora").text


def test_the_difference_marks_what_is_new_and_what_is_gone(world: World) -> None:
    html = world.client().get("/techniques/lora").text
    part = html[html.index('aria-labelledby="changes"') : html.index('id="measurements"')]
    lines = re.findall(r'<span class="(line[^"]*)">(.*?)\n</span>', part, re.DOTALL)
    shown = [(re.sub("<[^>]+>", "", body).replace("&quot;", '"'), kind) for kind, body in lines]
    assert ("   7 -    model = lab.load_model()", "line line-removed") in shown
    assert ('  12 +    model = lab.load_model("bfloat16")  # NEW', "line line-new line-added") in shown
    assert ("   9  def build(lab):", "line") in shown
    assert "docstring of its own" not in part


def test_the_command_can_be_copied_without_a_script(world: World) -> None:
    html = world.client().get("/techniques/lora").text
    assert "<code>python demos/lora.py</code>" in html
    assert re.search(r'<button class="copy" type="button" hidden', html)


def test_the_whole_script_is_on_the_page(world: World) -> None:
    html = world.client().get("/techniques/lora").text
    listing = html[html.index('aria-labelledby="source"') :]
    code = re.search(r"<code>(.*?)</code>", listing, re.DOTALL)
    assert code
    plain = re.sub(r'<span class="gutter"[^>]*>.*?</span>', "", code[1])
    text = re.sub(r"<[^>]+>", "", plain).replace("&quot;", '"').replace("&#34;", '"').replace("&#39;", "'")
    assert text.strip("\n") == (world.root / "demos/lora.py").read_text().strip("\n")


def test_without_records_a_technique_is_not_measured_yet(world: World) -> None:
    assert "not measured yet" in visible(world.client().get("/techniques/lora").text)
    assert "not measured yet" in visible(world.client().get("/techniques").text)


def test_runs_without_a_baseline_are_shown_without_a_saving(world: World) -> None:
    world.record(make_record("lora", peak=2048))
    words = visible(world.client().get("/techniques/lora").text)
    assert "2.0 KiB" in words
    assert "less" not in words.split("The measurements")[1].split("The whole script")[0]


def test_a_new_script_is_a_new_page(world: World) -> None:
    world.write("demos/new_idea.py", '"""Run it."""\n\nidea = 1  # NEW\n')
    client = world.client()
    assert 'href="/techniques/new_idea"' in client.get("/techniques").text
    assert client.get("/techniques/new_idea").status_code == 200


def test_a_script_that_python_cannot_read_is_still_shown(world: World) -> None:
    world.write("demos/broken.py", "def broken(:\n")
    assert world.client().get("/techniques/broken").status_code == 200


def test_a_script_without_a_baseline_beside_it_is_still_shown(world: World) -> None:
    (world.root / "demos/baseline.py").unlink()
    world.write("demos/odd.py", "café = 1\n").write_bytes("café = 1\n".encode("latin-1"))
    assert world.client().get("/techniques/lora").status_code == 200
    assert world.client().get("/techniques/odd").status_code == 200


@pytest.mark.parametrize("name", ["../secret", "a\0b", "x" * 5000])
def test_a_technique_that_no_script_can_have_is_called_what_its_author_calls_it(
    world: World, name: str
) -> None:
    world.write("secret.en.md", "# A secret\n\nSaid.\n")
    with world.app().test_request_context():
        assert title(name) == name


def test_the_start_page_names_one_work_for_all_the_figures_of_a_line(measured: World) -> None:
    for technique, peak in (("baseline", 90_000), ("lora", 9_000)):
        measured.record(make_record(technique, peak=peak, batch=64))
    words = visible(measured.client().get("/").text)
    assert "34.9% less" in words and "18.6% less" in words
    assert "90.0% less" not in words


@pytest.mark.parametrize("name", ["qlora", "memlab", "../lora", "lora.py", "LoRA", "x" * 300])
def test_only_scripts_have_pages(world: World, name: str) -> None:
    assert world.client().get(f"/techniques/{name}").status_code == 404


def test_a_foreign_record_is_refused_by_name_and_the_page_stays_up(measured: World) -> None:
    measured.write("results/cpu/foreign.json", '{"hello": "there"}')
    measured.write("results/cpu/cut.json", '{"schema_version": 1, ')
    local, public = measured.client(), measured.client(public=True)
    words = visible(local.get("/techniques").text)
    assert "cpu/foreign.json" in words and "cpu/cut.json" in words
    assert "34.9% less" in words
    assert "foreign.json" not in public.get("/techniques").text


def test_the_page_speaks_japanese_where_its_text_does(measured: World) -> None:
    measured.write(
        "pages/lora.ja.md", "# 低ランク\n\n**補正（小さい）**だけを学ぶ。\n\n## 仕組み\n\n本文。\n"
    )
    html = measured.client().get("/techniques/lora?lang=ja").text
    assert "<h1>低ランク</h1>" in html
    assert "<strong>補正（小さい）</strong>だけを学ぶ。" in html
    assert '<html lang="ja"' in html


def test_the_time_per_step_spreads_as_far_as_the_steps_did(world: World) -> None:
    record = make_record("lora", step_seconds=2.0).model_dump(mode="json")
    record["speed"]["step_seconds"] |= {"min": 1.25, "max": 3.5}
    world.record(Record.model_validate_json(json.dumps(record)))
    assert table(world.client().get("/techniques/lora").text, 0)["time per step"] == [
        "2.00 s (1.25 s to 3.50 s)"
    ]


# ---- every technique's own pictures ------------------------------------------------------------------------


@pytest.fixture
def lab(world: World) -> World:
    """All that the lab publishes, and a script for each technique."""
    published.publish(world.root / "results")
    for name in ("gradient_checkpointing", "qlora", "pissa", "dora", "stack", "zero"):
        world.write(f"demos/{name}.py", '"""Run it."""\n')
    return world


def measurements(html: str) -> str:
    return html[html.index('id="measurements"') : html.index('aria-labelledby="source"')]


PICTURES = {
    "baseline": ("by kind", "over one training step", "Time of a step", "Training loss"),
    "gradient_checkpointing": ("by kind", "over one training step", "Time of a step"),
    "lora": ("by kind", "over one training step", "Time of a step", "Training loss"),
    "qlora": ("by kind", "over one training step", "Time of a step"),
    "pissa": ("by kind", "over one training step", "Time of a step", "Training loss"),
    "dora": ("by kind", "over one training step", "Time of a step", "Training loss"),
    "stack": ("one technique is put on top of another", "over one training step", "Time of a step"),
    "zero": ("Model states that the rank", "by kind", "over one training step", "Time of a step"),
}


@pytest.mark.parametrize("name", list(PICTURES))
def test_a_technique_has_its_pictures_and_a_table_beside_each(lab: World, name: str) -> None:
    html = measurements(lab.client().get(f"/techniques/{name}").text)
    figures = re.findall(r"<figure.*?</figure>", html, re.DOTALL)
    captions = [visible(figure[figure.index("<figcaption") :]) for figure in figures]
    assert len(captions) == len(PICTURES[name])
    for caption, expected in zip(captions, PICTURES[name], strict=True):
        assert expected in caption
    for figure in figures:
        assert figure.count('<svg class="chart"') == figure.count("<table") == 1
    ids = re.findall(r'<(?:clipPath|g|path)[^>]* id="([^"]+)"', html)
    assert len(ids) == len(set(ids))


def test_the_work_of_most_techniques_heads_a_page_and_the_others_follow(lab: World) -> None:
    html = measurements(lab.client().get("/techniques/lora").text)
    assert "SmolLM2-135M, batch 4, 512 tokens · 10 steps" in visible(html[: html.index("<h3>")])
    others = html[html.index('<details class="others">') :]
    assert "SmolLM2-135M, batch 8, 48 tokens · 60 steps" in visible(others)
    assert "lora, mixed, rate 3e-4" in visible(others)


def test_a_gpu_heads_the_page_where_there_is_one(lab: World) -> None:
    for technique, peak in (("baseline", 9_000), ("lora", 900)):
        lab.record(make_record(technique, peak=peak, device="cuda", device_name="a GPU"), device="gpu")
    words = visible(lab.client().get("/techniques/lora").text)
    assert "90.0% less peak memory" in words.split("Weigh it yourself")[0]
    assert "measured on a GPU: a GPU" in words.split("Weigh it yourself")[0]
    assert "measured on a CPU" not in words.split("Weigh it yourself")[0]


def test_two_arms_of_one_technique_stand_beside_each_other(lab: World) -> None:
    words = visible(measurements(lab.client().get("/techniques/dora").text))
    for label in ("dora, mixed, rank 8", "dora, mixed, rank 16", "dora, bf16, rank 8"):
        assert label in words


def test_learning_rates_do_not_crowd_the_map(lab: World) -> None:
    html = lab.client().get("/techniques").text
    entry = html[html.index('href="/techniques/lora"') : html.index('href="/techniques/qlora"')]
    assert visible(entry).count("less peak memory") == 2


def test_the_start_page_has_one_figure_for_each_precision_of_a_technique(lab: World) -> None:
    lab.write("questions/lora/what.en.md", question_text("What"))  # a bank about techniques
    html = lab.client().get("/").text
    begin = html.index('href="/techniques/dora"')
    dora = visible(html[begin : html.index("</li>", begin)])
    begin = html.index('href="/techniques/stack"')
    stack = visible(html[begin : html.index("</li>", begin)])

    assert dora.count("against full fine-tuning") == 2
    assert stack.count("against full fine-tuning") == 1 and "80.0% less" in stack


def test_of_many_savings_the_furthest_is_put_on_the_scale(lab: World) -> None:
    words = visible(lab.client().get("/techniques/stack").text).split("Weigh it yourself")[0]
    assert words.count("less peak memory") == 1
    assert "80.0% less peak memory stack, bf16, up to chunked loss · against full fine-tuning" in words


def test_runs_without_a_figure_are_named_with_their_reason(lab: World) -> None:
    words = visible(measurements(lab.client().get("/techniques/stack").text))
    assert "1 run ended without a figure" in words
    assert "up to activation offload" in words and "does not apply here" in words


def test_a_technique_whose_runs_all_failed_is_not_measured_yet_and_says_why(world: World) -> None:
    id = world.record(make_record("lora", peak=None, status="oom"))
    html = world.client().get("/techniques/lora").text
    assert "not measured yet" in visible(html)
    assert f'href="/runs/{id}"' in html and "out of memory" in visible(html)


def test_the_differences_of_a_comparison_are_listed_where_there_are_many(lab: World) -> None:
    html = measurements(lab.client().get("/techniques/dora").text)
    assert "against baseline, mixed · base_dtype bfloat16 / float32" in visible(html)


def test_figures_are_worked_out_once_for_a_set_of_records(lab: World) -> None:
    with lab.app().test_request_context("/"):
        first = figures("lora")
        assert figures("lora") is first
    lab.record(make_record("lora", batch=2))
    with lab.app().test_request_context("/"):
        assert figures("lora") is not first
