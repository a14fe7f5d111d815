"""Every technique side by side on one work, chosen by a plain form."""

from __future__ import annotations

import re

import pytest

import published
from bank_files import question_text
from pages.world import World, visible
from records import make_record
from steelyard.web.text.numbers import size


@pytest.fixture
def lab(world: World) -> World:
    published.publish(world.root / "results")
    return world


def options(html: str, name: str) -> dict[str, str]:
    """Return what a choice offers: value → words."""
    select = re.search(rf'<select id="{name}".*?</select>', html, re.DOTALL)
    assert select
    return dict(re.findall(r'<option value="([^"]*)"[^>]*>(.*?)</option>', select[0]))


def chosen(html: str, name: str) -> str:
    select = re.search(rf'<select id="{name}".*?</select>', html, re.DOTALL)
    assert select
    return re.findall(r'<option value="[^"]*" selected>(.*?)</option>', select[0])[0]


def rows(html: str, number: int = 0) -> dict[str, list[str]]:
    """Return a table of figures: row head → cells."""
    body = re.findall(r'<table class="figures[^"]*">(.*?)</table>', html, re.DOTALL)[number]
    found = re.findall(r'<tr><th scope="row"[^>]*>(.*?)</th>(.*?)</tr>', body, re.DOTALL)
    return {
        visible(head).strip(): [visible(cell) for cell in re.findall(r"<td>(.*?)</td>", cells, re.DOTALL)]
        for head, cells in found
    }


def test_the_work_of_most_techniques_is_shown_first_with_every_arm(lab: World) -> None:
    html = lab.client().get("/compare").text
    assert chosen(html, "setup") == "SmolLM2-135M, batch 4, 512 tokens · 10 steps"
    assert len(rows(html)) == 2 * (4 + 2 + 2) + 5
    assert rows(html)["lora, mixed"][-1] == "35.0% less"
    assert rows(html)["stack, bf16, up to chunked loss"][-1] == "80.0% less"


def test_the_numbers_are_the_records(lab: World) -> None:
    table = rows(lab.client().get("/compare").text)
    for record in published.memory():
        if record.technique == "qlora":
            parts = record.memory.breakdown_at_peak
            assert parts is not None
            kinds = (parts.weights, parts.adapters, parts.gradients, parts.optimizer, parts.activations)
            expected = [*kinds, parts.temporaries, parts.total]
            cells = table[f"qlora, {record.setup.precision}"][:-1]
            assert cells == [size(value).replace("\N{NO-BREAK SPACE}", " ") for value in expected]


@pytest.mark.parametrize(
    ("metric", "cells"),
    [
        ("memory.peak_bytes", None),
        ("memory.static_bytes", ["400 B", "the same"]),
        ("speed.step_seconds.median", ["2.00 s", "the same"]),
        ("learning.trainable_parameters", ["1,000", "the same"]),
        ("learning.eval_loss_after", ["2.000", "the same"]),
    ],
)
def test_a_metric_can_be_chosen(lab: World, metric: str, cells: list[str] | None) -> None:
    client = lab.client()
    offered = options(client.get("/compare").text, "metric")
    assert metric in offered
    html = client.get("/compare", query_string={"metric": metric}).text
    assert chosen(html, "metric") == offered[metric]
    assert html.count('<svg class="chart"') == 1
    if cells:
        assert rows(html)["lora, mixed"] == cells


def test_a_metric_that_the_work_does_not_have_gives_way_to_the_peak(lab: World) -> None:
    """So that the form says what the page shows."""
    html = lab.client().get("/compare", query_string={"metric": "memory.reserved_bytes"}).text

    assert chosen(html, "metric") == "peak memory"
    assert 'id="result" class="first-capital">peak memory<' in html


def test_a_setup_can_be_chosen_and_only_its_runs_are_shown(lab: World) -> None:
    client = lab.client()
    offered = options(client.get("/compare").text, "setup")
    assert list(offered.values()) == [
        "SmolLM2-135M, batch 4, 512 tokens · 10 steps",
        "SmolLM2-135M, batch 8, 48 tokens · 60 steps",
        "SmolLM2-135M, batch 1, 128 tokens · 10 steps",
    ]
    html = client.get("/compare", query_string={"setup": list(offered)[2]}).text
    assert all(name.startswith("zero, mixed, stage ") for name in rows(html))
    assert len(rows(html)) == 12


def test_setups_that_differ_stay_apart_and_the_page_says_in_what(lab: World) -> None:
    html = lab.client().get("/compare").text
    section = html[html.index('id="apart"') :]
    first, second = re.findall(r"<details.*?</details>", section, re.DOTALL)
    fields = re.findall(r'<th scope="row"><code>(.*?)</code></th><td>(.*?)</td><td>(.*?)</td>', first)
    assert ("batch", "4", "8") in fields and ("steps", "10", "60") in fields
    assert "dora" in visible(first) and "zero" in visible(second)


def test_learning_curves_stand_beside_long_runs_and_only_these(lab: World) -> None:
    client = lab.client()
    html = client.get("/compare").text
    assert 'id="learned"' not in html
    work = list(options(html, "setup"))[1]
    html = client.get("/compare", query_string={"setup": work, "metric": "learning.eval_loss_after"}).text
    assert 'id="learned"' in html


def test_devices_are_never_mixed_and_a_gpu_comes_first(lab: World) -> None:
    lab.record(make_record("lora", device="cuda", device_name="a GPU", peak=1234), device="gpu")
    client = lab.client()
    html = client.get("/compare").text
    assert list(options(html, "device").values()) == [
        "measured on a GPU: a GPU",
        "measured on a CPU: a test&#39;s processor",
    ]
    assert list(rows(html, 1)) == ["lora, mixed"]
    cpu = client.get("/compare", query_string={"device": "cpu: a test's processor"}).text
    assert len(rows(cpu)) > 1
    assert "a GPU" not in visible(cpu[cpu.index('id="result"') : cpu.index('id="apart"')])


def test_a_setup_of_another_device_gives_way_to_the_device(lab: World) -> None:
    lab.record(make_record("lora", device="cuda", device_name="a GPU", peak=1234), device="gpu")
    client = lab.client()
    on_gpu = next(iter(options(client.get("/compare").text, "setup")))
    html = client.get("/compare", query_string={"device": "cpu: a test's processor", "setup": on_gpu}).text
    assert chosen(html, "device") == "measured on a CPU: a test&#39;s processor"
    assert "qlora, mixed" in rows(html)


@pytest.mark.parametrize("asked", ["setup=nothing", "metric=__class__", "device=<b>", "metric=states.total"])
def test_what_is_asked_for_in_vain_is_answered_by_the_first_there_is(lab: World, asked: str) -> None:
    response = lab.client().get(f"/compare?{asked}")
    assert response.status_code == 200
    assert chosen(response.text, "metric") == "peak memory"
    assert "<b>" not in response.text


def test_without_records_nothing_is_compared(world: World) -> None:
    response = world.client().get("/compare")
    assert response.status_code == 200
    assert "not measured yet" in visible(response.text)


def test_setups_alike_in_all_that_their_name_says_are_told_apart(lab: World) -> None:
    lab.record(make_record("lora", attention="eager"))
    offered = options(lab.client().get("/compare").text, "setup")
    assert "SmolLM2-135M, batch 4, 512 tokens · 10 steps · attention eager" in offered.values()
    assert len(set(offered.values())) == 4


def test_a_changed_record_changes_the_page(lab: World) -> None:
    before = lab.client().get("/compare").text
    lab.record(make_record("qlora", peak=4_321, **published.PRECISIONS[0]))
    after = lab.client().get("/compare").text
    assert "56.8% less" in visible(after) and "56.8% less" not in visible(before)


def test_the_page_is_linked_and_says_where_it_is(lab: World) -> None:
    lab.write("questions/lora/what.en.md", question_text("What"))  # a bank about techniques
    client = lab.client()
    assert '<a href="/compare">' in client.get("/").text
    assert '<a href="/compare" aria-current="page">' in client.get("/compare").text
    work = next(iter(options(client.get("/compare").text, "setup")))
    assert f'href="/compare?setup={work}"' in client.get("/techniques/lora").text


def test_each_arm_is_drawn_at_the_rate_that_suits_it_and_the_others_are_listed(lab: World) -> None:
    client = lab.client()
    work = list(options(client.get("/compare").text, "setup"))[1]
    html = client.get("/compare", query_string={"setup": work, "metric": "learning.eval_loss_after"}).text
    assert list(rows(html)) == [
        "baseline, mixed",
        "lora, mixed",
        "pissa, mixed",
        "dora, mixed, rank 16",
        "dora, mixed, rank 8",
    ]
    assert rows(html)["lora, mixed"] == ["2.310 (2.300 to 2.320)", "+0.200"]
    everything = rows(html, -1)
    assert len(everything) == 10
    assert everything["lora, mixed, rate 3e-4"][-1] == "2.800"
