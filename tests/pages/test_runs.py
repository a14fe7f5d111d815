"""One page per record, the record itself, and the schema."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone

import pytest

import published
from memlab.results.record import Record, schema
from pages.world import World, visible
from records import make_record


def test_a_run_is_shown_whole(world: World) -> None:
    id = world.record(make_record("lora", peak=5 * 1024**2))
    words = visible(world.client().get(f"/runs/{id}").text)
    for expected in (
        "Measured on a CPU: a test's processor · SmolLM2-135M, batch 4, 512 tokens · mixed precision (bf16 weights, bf16 autocast)",
        "5.0 mib peak memory · in the backward pass",
        "memory reserved by the allocator not measured",
        "time per step 2.00 s (2.00 s to 2.00 s)",
        "held-out loss, before and after 3.000 → 2.000",
        "transformers 5.23.0",
        "base_dtype bfloat16",
        f"python demos/lora.py --like demos/results/{id}.json",
    ):
        assert expected.lower() in words.lower()
    assert "GPU" not in words


def test_its_picture_and_table_are_the_records(world: World) -> None:
    id = world.record(make_record("lora", peak=5 * 1024**2))
    html = world.client().get(f"/runs/{id}").text
    assert html.count('<svg class="chart"') == 2
    assert " style=" not in html
    assert "activations</th><td>250\N{NO-BREAK SPACE}B</td>" in html


def test_tampering_with_the_record_changes_the_page(world: World) -> None:
    record = make_record("lora", peak=5 * 1024**2)
    id = world.record(record)
    before = world.client().get(f"/runs/{id}").text
    data = record.model_dump(mode="json")
    data["memory"]["static_bytes"] += 1
    world.write(f"results/{id}.json", json.dumps(data))
    assert before != world.client().get(f"/runs/{id}").text


def test_the_json_is_the_record_as_it_was_written(world: World) -> None:
    id = world.record(make_record())
    response = world.client().get(f"/runs/{id}.json")
    assert response.mimetype == "application/json"
    assert response.data == (world.root / f"results/{id}.json").read_bytes()
    assert Record.model_validate_json(response.data) == make_record()


def test_the_schema_is_the_records(world: World) -> None:
    assert world.client().get("/results.schema.json").text == schema()


@pytest.mark.parametrize(
    "id", ["cpu/none", "none", "../test", "cpu/../cpu/none", "schema", "cpu/none.json", ".json"]
)
def test_an_unknown_run_is_not_found(world: World, id: str) -> None:
    world.write("results/schema.json", "{}")
    assert world.client().get(f"/runs/{id}").status_code == 404


def test_nothing_but_records_is_ever_sent(world: World) -> None:
    world.write("results/cpu/foreign.json", '{"secret": 1}')
    for public in (False, True):
        response = world.client(public=public).get("/runs/cpu/foreign.json")
        assert response.status_code == 404
        assert "secret" not in response.text


def test_a_foreign_record_is_refused_by_name_on_a_local_site_only(world: World) -> None:
    world.write("results/cpu/foreign.json", '{"hello": "there"}')
    local = world.client().get("/runs/cpu/foreign")
    assert local.status_code == 503
    assert "cpu/foreign.json" in local.text and "is not a record" in local.text
    assert world.client(public=True).get("/runs/cpu/foreign").status_code == 404


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("oom", "The run ended out of memory."),
        ("failed", "The run failed."),
        ("not_applicable", "The technique does not apply to this device or setup."),
    ],
)
def test_a_run_without_a_figure_says_why_and_claims_nothing(world: World, status: str, said: str) -> None:
    id = world.record(make_record("lora", peak=None, status=status))
    words = visible(world.client().get(f"/runs/{id}").text)
    assert said in words
    assert "peak memory not measured" in words


def test_a_prediction_is_not_called_measured(world: World) -> None:
    id = world.record(make_record("lora", device="fake", device_name="none"), device="fake")
    words = visible(world.client().get(f"/runs/{id}").text)
    assert "predicted, without running on any hardware" in words
    assert "measured on" not in words


def test_a_record_cannot_smuggle_markup_into_its_page(world: World) -> None:
    id = world.record(
        make_record("lora", device_name="<script>alert(1)</script>", optimizer="<img src=x onerror=x>")
    )
    html = world.client().get(f"/runs/{id}").text
    assert "<script>alert" not in html and "<img" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


def test_a_long_run_shows_its_curve_and_a_short_one_does_not(world: World) -> None:
    short = world.record(published.learned(make_record("lora"), 2.0))
    long = world.record(published.learned(make_record("lora", steps=60), 2.0))
    client = world.client()
    assert "What it learned" not in client.get(f"/runs/{short}").text
    html = client.get(f"/runs/{long}").text
    assert "What it learned" in html
    assert html.count('<svg class="chart"') == 3


def test_a_run_on_several_ranks_lists_what_each_of_them_keeps(world: World) -> None:
    whole = world.record(published.shard(2, 2, None))
    ranks = [world.record(published.shard(2, 2, index, gradients=-90 * index)) for index in range(2)]
    world.record(published.shard(3, 2, 0))  # of another run
    html = world.client().get(f"/runs/{whole}").text
    words = visible(html)
    assert "stage 2 on 2 ranks" in words
    assert "By the paper: 9.000 in stage 2 on 2 ranks." in words
    table = html[html.index('id="states"') : html.index('id="memory"')]
    assert re.findall(r'href="/runs/([^"]+)"', table) == ranks
    assert "rank 1 2.000 0.910 2.000 4.000 8.910 512 B" in visible(table)


def test_the_run_of_one_rank_says_that_it_is_a_detail(world: World) -> None:
    whole = world.record(published.shard(2, 2, None))
    rank = world.record(published.shard(2, 2, 1))
    html = world.client().get(f"/runs/{rank}").text
    assert "This is one rank of 2, a detail of the run." in visible(html)
    assert f'href="/runs/{whole}"' in html
    assert "stage 2 on 2 ranks · rate 1e-3 · rank 1" in visible(html)


def test_the_moment_is_given_in_universal_time_wherever_it_was_written(world: World) -> None:
    record = make_record()
    there = datetime(2026, 1, 2, 3, 30, tzinfo=timezone(timedelta(hours=9)))
    origin = record.origin.model_copy(update={"created": there})
    id = world.record(record.model_copy(update={"origin": origin}))
    assert "2026-01-01 18:30 UTC" in visible(world.client().get(f"/runs/{id}").text)
