"""Charts: one picture for both themes, nothing that the policy refuses, and every number in the table too."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from xml.etree import ElementTree

import pytest

import published
from memlab.results.record import KINDS, Record
from records import make_record
from steelyard.evidence import Records
from steelyard.evidence.workloads import Workload, workloads
from steelyard.web.evidence.charts.bars import bar_chart
from steelyard.web.evidence.charts.curves import curves, curves_chart, rates
from steelyard.web.evidence.charts.draw import Chart, ChartArm
from steelyard.web.evidence.charts.memory import INSTANTS, peak_chart, thinned, timeline_chart
from steelyard.web.evidence.charts.ranks import ranks_chart
from steelyard.web.evidence.charts.waterfall import steps, waterfall_chart
from steelyard.web.text import numbers
from steelyard.web.text.vocabulary import kind_words

pytestmark = pytest.mark.usefixtures("english")

MIB = 1024**2


def at_work(record: Record, *, activations: int = 600) -> Record:
    """Return the record with a step in which activations come and go, in round numbers of MiB."""
    points = []
    for instant in range(31):
        kept = activations * (15 - abs(instant - 15)) // 15
        points.append((instant / 10, 300 * MIB, 10 * MIB, 20 * MIB, 70 * MIB, kept * MIB, 7 * MIB, 0))
    peak = dict(zip(KINDS, max(points, key=lambda point: sum(point[1:]))[1:], strict=True))
    total = sum(peak.values())
    data = record.model_dump(mode="json")
    data["memory"] |= {
        "timeline": points,
        "breakdown_at_peak": peak,
        "ledger_peak_bytes": total,
        "peak_bytes": total,
    }
    return Record.model_validate_json(json.dumps(data))


@pytest.fixture
def arms() -> list[ChartArm]:
    return [
        ChartArm("Full fine-tuning, mixed", at_work(make_record("baseline"), activations=900)),
        ChartArm("LoRA, mixed", at_work(make_record("lora"))),
    ]


@pytest.fixture(params=[peak_chart, timeline_chart])
def chart(request: pytest.FixtureRequest, arms: list[ChartArm]) -> Chart:
    drawn = request.param(arms, "page-")
    assert drawn is not None
    return drawn


def test_the_picture_is_well_formed_and_names_itself(chart: Chart) -> None:
    root = ElementTree.fromstring(str(chart.svg))
    assert root.get("role") == "img"
    assert "Full fine-tuning, mixed: " in root.attrib["aria-label"]
    assert "LoRA, mixed: " in root.attrib["aria-label"]


def test_no_inline_style_script_or_event_remains(chart: Chart) -> None:
    for element in ElementTree.fromstring(str(chart.svg)).iter():
        assert element.tag in {"svg", "g", "path", "line", "rect", "text", "defs", "clipPath"}
        assert not [name for name in element.attrib if name == "style" or name.startswith("on")]
    assert " style=" not in chart.svg and "<style" not in chart.svg


def test_every_colour_is_a_variable_of_the_theme(chart: Chart) -> None:
    colours = set(re.findall(r'(?:fill|stroke)="([^"]+)"', str(chart.svg)))
    assert colours
    assert all(re.fullmatch(r"none|transparent|var\(--[a-z-]+\)", colour) for colour in colours), colours
    assert "var(--kind-activations)" in colours


def test_the_typeface_is_the_pages(chart: Chart) -> None:
    assert "font-family" not in chart.svg


def test_ids_carry_the_prefix_and_are_the_same_at_every_rendering(arms: list[ChartArm]) -> None:
    first, second = (str(timeline_chart(arms, prefix).svg) for prefix in ("one-", "two-"))  # type: ignore[union-attr]
    assert set(re.findall(r'id="([^"]+)"', first)).isdisjoint(re.findall(r'id="([^"]+)"', second))
    assert first.replace("one-", "") == second.replace("two-", "")
    for svg in (first, second):
        ids = re.findall(r'id="([^"]+)"', svg)
        assert len(ids) == len(set(ids))
        assert set(re.findall(r"url\(#([^)]+)\)", svg)) <= set(ids)


def test_every_bar_is_in_the_table(arms: list[ChartArm]) -> None:
    chart = peak_chart(arms, "")
    assert chart is not None
    assert chart.columns == ("Full fine-tuning, mixed", "LoRA, mixed")
    for column, arm in enumerate(arms):
        breakdown = arm.record.memory.breakdown_at_peak
        assert breakdown is not None
        shown = {row.name: row.cells[column] for row in chart.rows}
        expected = {
            kind_words(kind): numbers.size(getattr(breakdown, kind))
            for kind in KINDS
            if getattr(breakdown, kind)
        }
        assert shown == expected
        assert chart.totals[column] == numbers.size(breakdown.total)


def test_bars_are_as_long_as_their_numbers(arms: list[ChartArm]) -> None:
    chart = peak_chart(arms, "")
    assert chart is not None
    bars = re.findall(r'd="M[\d.]+,0h([\d.]+)v30[^"]*" fill="var\(--kind-activations\)"', str(chart.svg))
    assert float(bars[0]) / float(bars[1]) == pytest.approx(900 / 600, rel=0.01)


def test_the_baseline_stands_above_the_technique(arms: list[ChartArm]) -> None:
    for chart in (peak_chart(arms, ""), timeline_chart(arms, ""), peak_chart(arms[::-1], "")):
        assert chart is not None
        texts = re.findall(r">([^<>]+: [^<>]+)</text>", str(chart.svg))
        assert [text.split(":")[0] for text in texts] == list(chart.columns)


def test_the_timeline_table_gives_least_and_most(arms: list[ChartArm]) -> None:
    chart = timeline_chart(arms, "")
    assert chart is not None
    cells = {row.name: row.cells for row in chart.rows}
    assert [cell.replace("\N{NO-BREAK SPACE}", " ") for cell in cells["activations"]] == [
        "0 B to 900.0 MiB",
        "0 B to 600.0 MiB",
    ]
    assert cells["weights"][0].replace("\N{NO-BREAK SPACE}", " ") == "300.0 MiB"
    assert "other" not in cells


def test_another_number_gives_another_picture(arms: list[ChartArm]) -> None:
    changed = [arms[0], ChartArm("LoRA, mixed", at_work(make_record("lora"), activations=601))]
    assert peak_chart(arms, "") != peak_chart(changed, "")
    assert timeline_chart(arms, "") != timeline_chart(changed, "")


def test_a_long_timeline_is_thinned_and_keeps_its_peak() -> None:
    timeline = [(float(at), 10, 0, 0, 0, 0, 0, 0) for at in range(5000)]
    timeline[3217] = (3217.0, 10, 0, 0, 0, 99, 0, 0)
    kept = thinned(timeline)
    assert len(kept) <= INSTANTS + 2
    assert timeline[3217] in kept
    assert (kept[0], kept[-1]) == (timeline[0], timeline[-1])
    assert kept == sorted(kept)


def test_a_run_without_a_breakdown_has_no_chart() -> None:
    oom = make_record(peak=None, status="oom")
    assert peak_chart([ChartArm("LoRA", oom)], "") is None


# ---- the stack, ZeRO's ranks, and what a single number becomes ---------------------------------------------


def the_work(records: Iterable[Record]) -> Workload:
    (work,) = workloads(Records({f"{record.device.kind}/{record.slug}": record for record in records}))
    return work


def plain(cells: Iterable[str]) -> list[str]:
    return [cell.replace("\N{NO-BREAK SPACE}", " ") for cell in cells]


def every_chart() -> Iterator[tuple[str, Chart | None]]:
    """Yield a chart of every kind, by name."""
    memory, quality = the_work(published.memory()), the_work(published.quality())
    yield "waterfall", waterfall_chart(steps(memory), "page-")
    yield "ranks", ranks_chart([group.first for group in the_work(published.sharded()).groups], "page-")
    yield "times", bar_chart(memory.groups, memory, "speed.step_seconds.median", "page-")
    yield "losses", bar_chart(quality.groups, quality, "learning.eval_loss_after", "page-")
    yield "curves", curves_chart(curves(quality), "page-", bold="lora")
    yield "peaks", peak_chart([ChartArm(group.first.slug, group.first) for group in memory.groups], "page-")


def test_every_kind_of_chart_obeys_the_pages_policy_and_theme() -> None:
    for name, chart in every_chart():
        assert chart is not None, name
        svg = str(chart.svg)
        root = ElementTree.fromstring(svg)
        assert root.get("role") == "img" and root.get("aria-label"), name
        for element in root.iter():
            assert element.tag in {"svg", "g", "path", "line", "rect", "text", "defs", "clipPath"}, name
            assert not [key for key in element.attrib if key == "style" or key.startswith("on")], name
        colours = set(re.findall(r'(?:fill|stroke)="([^"]+)"', svg))
        assert all(re.fullmatch(r"none|transparent|var\(--[a-z0-9-]+\)", colour) for colour in colours), name
        assert all(id.startswith("page-") for id in re.findall(r'id="([^"]+)"', svg)), name
        for key in chart.legend:  # whatever the legend explains is in the picture
            if not key.colour.startswith("key-"):
                assert f"var(--{key.colour})" in colours, (name, key)


def test_the_waterfall_begins_with_full_fine_tuning_and_goes_down_step_by_step() -> None:
    chart = waterfall_chart(steps(the_work(published.memory())), "")
    assert chart is not None
    assert [row.name for row in chart.rows] == [
        "full fine-tuning, mixed",
        "all in bf16",
        "+ checkpointing",
        "+ LoRA",
        "+ 4-bit weights",
        "+ 8-bit AdamW",
        "+ chunked loss",
    ]
    assert [plain(row.cells) for row in chart.rows][-2:] == [
        ["2.9 KiB", "−1.0 KiB", "70.0% less"],
        ["2.0 KiB", "−1.0 KiB", "80.0% less"],
    ]


def test_the_waterfalls_dashed_parts_are_as_long_as_what_the_steps_saved() -> None:
    chart = waterfall_chart(steps(the_work(published.memory())), "")
    assert chart is not None
    saved = re.findall(r'd="M[\d.]+,[\d.]+h([\d.]+)[^"]*" fill="var\(--accent-soft\)"', str(chart.svg))
    lengths = [float(length) for length in saved]
    # From all in bf16 (as large as mixed, in these records) to checkpointing it is 4,000 bytes, then 1,000 each.
    assert lengths == pytest.approx([4 * lengths[-1], *[lengths[-1]] * 4], rel=0.02)


def test_a_step_that_takes_more_is_said_to_add() -> None:
    more = make_record("stack", step="lora", peak=11_024, **published.PRECISIONS[1])
    less = make_record("stack", step="checkpointing", peak=10_000, **published.PRECISIONS[1])
    base = make_record("baseline", peak=10_000)
    chart = waterfall_chart(steps(the_work([base, less, more])), "")
    assert chart is not None
    assert [plain(row.cells)[1] for row in chart.rows] == ["–", "the same", "+1.0 KiB"]
    assert plain(chart.rows[-1].cells)[2] == "10.2% more"


def test_one_run_is_no_waterfall() -> None:
    assert waterfall_chart(steps(the_work([make_record("baseline")])), "") is None


def test_every_stage_and_number_of_ranks_stands_beside_the_papers_formula() -> None:
    records = [published.shard(stage, ranks) for ranks in (4, 1, 2) for stage in (3, 2, 1, 0)]
    chart = ranks_chart(records, "")
    assert chart is not None
    assert [(row.name, row.cells[5]) for row in chart.rows] == [
        (f"{ranks} rank{'s' * (ranks > 1)}, stage {stage}", f"{expected:.3f}")
        for ranks in (1, 2, 4)
        for stage, expected in enumerate((16, 4 + 12 / ranks, 2 + 14 / ranks, 16 / ranks))
    ]
    for row in chart.rows:
        assert row.cells[4] == row.cells[5] and row.cells[6] == "0.00%"


def test_states_are_the_records_for_each_parameter_and_what_is_off_is_said() -> None:
    record = published.shard(2, 2, gradients=90)
    chart = ranks_chart([record], "")
    assert chart is not None
    assert plain(chart.rows[0].cells) == [
        "2.000", "1.090", "2.000", "4.000", "9.090", "9.000", "+1.00%", "512 B"
    ]  # fmt: skip


def test_bars_of_states_are_as_long_as_their_numbers() -> None:
    chart = ranks_chart([published.shard(0, 4), published.shard(3, 4)], "")
    assert chart is not None
    bars = re.findall(r'h([\d.]+)v20[^"]*" fill="var\(--kind-optimizer\)"', str(chart.svg))
    assert float(bars[0]) / float(bars[1]) == pytest.approx(4, rel=0.02)


def test_runs_that_shard_nothing_have_no_ranks_to_show() -> None:
    assert ranks_chart([make_record("lora")], "") is None


def test_a_time_shows_its_steps_spread_and_what_it_is_against_the_baseline() -> None:
    lora = published.timed(make_record("lora"), 1.5, 1.25, 3.5)
    work = the_work([make_record("baseline"), lora])
    chart = bar_chart(work.groups, work, "speed.step_seconds.median", "")
    assert chart is not None
    assert [(row.name, *plain(row.cells)) for row in chart.rows] == [
        ("baseline, mixed", "2.00 s", "–"),
        ("lora, mixed", "1.50 s (1.25 s to 3.50 s)", "25.0% less"),
    ]


def test_a_number_that_no_run_has_is_no_chart() -> None:
    work = the_work([make_record("lora")])
    assert bar_chart(work.groups, work, "memory.reserved_bytes", "") is None


# ---- learning curves --------------------------------------------------------------------------------------


def test_each_technique_has_one_curve_of_all_its_seeds_at_the_rate_that_suits_it() -> None:
    shown = curves(the_work(published.quality()))
    assert [(curve.label, curve.group.first.setup.lr, len(curve.group.runs)) for curve in shown] == [
        ("baseline, mixed", 1e-3, 3),
        ("lora, mixed", 1e-3, 3),
        ("pissa, mixed", 1e-3, 3),
        ("dora, mixed, rank 16", 1e-3, 3),
        ("dora, mixed, rank 8", 1e-3, 3),
    ]


def test_a_curve_is_the_median_of_the_seeds_trailing_means_between_their_least_and_most() -> None:
    work = the_work(
        published.learned(make_record("lora", seed=seed, steps=60), 2 + seed) for seed in range(3)
    )
    (curve,) = curves(work)
    runs = [record.learning.losses for _id, record in curve.group.runs.values() if record.learning]
    step, middle, least, most = curve.points[20]
    assert step == 30
    means = [sum(losses[20:30]) / 10 for losses in runs]
    assert (least, middle, most) == pytest.approx(sorted(means))
    assert curve.points[0][0] == 10
    assert curve.points[-1] == pytest.approx((63, 3, 2, 4))


def test_the_curves_table_gives_losses_at_equal_tokens_and_equal_seconds_and_the_steps_to_loras() -> None:
    quick, slow = make_record("lora", steps=60), make_record("dora", steps=60)
    work = the_work(
        [
            published.timed(published.learned(quick, 2.0), 1.0, 1.0, 1.0),
            published.timed(published.learned(slow, 1.0), 2.0, 2.0, 2.0),
        ]
    )
    chart = curves_chart(curves(work), "")
    assert chart is not None
    assert chart.columns[3:] == (
        "training loss after all tokens",
        "and after 63.00\N{NO-BREAK SPACE}s",
        "steps to the final loss of lora, mixed",
    )
    cells = {row.name: row.cells[3:] for row in chart.rows}
    # LoRA has come to 2 at step 32, and all of its last ten are there ten steps on.
    assert cells["lora, mixed"] == ("2.000", "2.000", "42")
    # After 63 s DoRA has made 31 steps: those from 22 to 31, counted from 0 as 21 to 30.
    losses = published.learned(slow, 1.0).learning.losses  # type: ignore[union-attr]
    at = sum(losses[21:31]) / 10
    reached = next(end for end in range(10, 64) if sum(losses[end - 10 : end]) / 10 <= 2)
    assert cells["dora, mixed"] == ("1.000", f"{at:.3f}", str(reached))


def test_curves_are_told_by_their_dashes_and_not_by_their_colours_alone() -> None:
    chart = curves_chart(curves(the_work(published.quality())), "")
    assert chart is not None
    # A solid line is dashed too, with gaps of no width.
    lines = re.findall(
        r'<path[^>]* stroke="var\(--series-\d\)"[^>]* stroke-dasharray="([^"]+)"', str(chart.svg)
    )
    panels = 2
    assert len(lines) == panels * len(chart.legend)
    assert lines[: len(chart.legend)] == lines[len(chart.legend) :]
    assert len(set(lines)) == len(chart.legend)


def test_what_never_comes_so_low_does_not_reach_it() -> None:
    records = [
        published.learned(make_record("lora", steps=60), 2.0),
        published.learned(make_record("dora", steps=60), 2.5),
    ]
    chart = curves_chart(curves(the_work(records)), "")
    assert chart is not None
    assert {row.name: row.cells[-1] for row in chart.rows}["dora, mixed"] == "not reached"


def test_short_runs_have_no_curves() -> None:
    assert curves(the_work([published.learned(make_record("lora", steps=16), 2.0)])) == ()
    assert curves_chart((), "") is None


def test_the_rates_tried_are_listed_and_the_best_of_each_row_is_marked() -> None:
    found = rates(the_work(published.quality()))
    assert found is not None
    assert found.columns == ("3e-4", "1e-3")
    assert found.rows[0] == ("baseline, mixed", (("2.600", False), ("2.100", True)))
    assert len(found.rows) == 5
    assert rates(the_work([published.learned(make_record("lora", steps=60), 2.0)])) is None
