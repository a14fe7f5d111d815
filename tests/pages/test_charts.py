"""Charts: one picture for both themes, nothing that the policy refuses, and every number in the table too."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import pytest

from memlab.record import KINDS, Record
from records import make_record
from steelyard.web import numbers
from steelyard.web.charts.draw import Arm, Chart
from steelyard.web.charts.memory import INSTANTS, peak_chart, thinned, timeline_chart
from steelyard.web.wording import kind_words

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
def arms() -> list[Arm]:
    return [
        Arm("Full fine-tuning, mixed", at_work(make_record("baseline"), activations=900)),
        Arm("LoRA, mixed", at_work(make_record("lora"))),
    ]


@pytest.fixture(params=[peak_chart, timeline_chart])
def chart(request: pytest.FixtureRequest, arms: list[Arm]) -> Chart:
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


def test_ids_carry_the_prefix_and_are_the_same_at_every_rendering(arms: list[Arm]) -> None:
    first, second = (str(timeline_chart(arms, prefix).svg) for prefix in ("one-", "two-"))  # type: ignore[union-attr]
    assert set(re.findall(r'id="([^"]+)"', first)).isdisjoint(re.findall(r'id="([^"]+)"', second))
    assert first.replace("one-", "") == second.replace("two-", "")
    for svg in (first, second):
        ids = re.findall(r'id="([^"]+)"', svg)
        assert len(ids) == len(set(ids))
        assert set(re.findall(r"url\(#([^)]+)\)", svg)) <= set(ids)


def test_every_bar_is_in_the_table(arms: list[Arm]) -> None:
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


def test_bars_are_as_long_as_their_numbers(arms: list[Arm]) -> None:
    chart = peak_chart(arms, "")
    assert chart is not None
    bars = re.findall(r'd="M[\d.]+,0h([\d.]+)v30[^"]*" fill="var\(--kind-activations\)"', str(chart.svg))
    assert float(bars[0]) / float(bars[1]) == pytest.approx(900 / 600, rel=0.01)


def test_the_baseline_stands_above_the_technique(arms: list[Arm]) -> None:
    for chart in (peak_chart(arms, ""), timeline_chart(arms, ""), peak_chart(arms[::-1], "")):
        assert chart is not None
        texts = re.findall(r">([^<>]+: [^<>]+)</text>", str(chart.svg))
        assert [text.split(":")[0] for text in texts] == list(chart.columns)


def test_the_timeline_table_gives_least_and_most(arms: list[Arm]) -> None:
    chart = timeline_chart(arms, "")
    assert chart is not None
    cells = {row.name: row.cells for row in chart.rows}
    assert [cell.replace("\N{NO-BREAK SPACE}", " ") for cell in cells["activations"]] == [
        "0 B to 900.0 MiB",
        "0 B to 600.0 MiB",
    ]
    assert cells["weights"][0].replace("\N{NO-BREAK SPACE}", " ") == "300.0 MiB"
    assert "other" not in cells


def test_another_number_gives_another_picture(arms: list[Arm]) -> None:
    changed = [arms[0], Arm("LoRA, mixed", at_work(make_record("lora"), activations=601))]
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
    assert peak_chart([Arm("LoRA", oom)], "") is None
