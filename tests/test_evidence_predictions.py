"""The planner's predictions: read a record a line, asked by name only, and never beside what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import planned
from memlab.results.record import Record
from records import make_record
from steelyard import evidence
from steelyard.evidence import Finding, Records, judge
from weighed import THIRTY_PERCENT, baseline, claim, records

MODEL = "gpt-3-175b"
GB = 10**9


def predicted(technique: str = "qlora", **fields: Any) -> Record:
    return make_record(technique, device="fake", **{"model": MODEL, **fields})


def planned_records(*given: Record, measured: Records | None = None) -> Records:
    """Return these predictions beside what was measured."""
    found = {f"predictions/{record.setup.model}/{record.slug}": record for record in given}
    return Records((measured or records()).by_id, predictions=found)


def write(folder: Path, *lines: str) -> Path:
    path = folder / "predictions" / f"{MODEL}.jsonl"
    path.parent.mkdir()
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


# ---- reading -----------------------------------------------------------------------------------------------


def test_predictions_are_read_a_record_a_line_and_stay_apart_from_what_was_measured(tmp_path):
    measured = make_record("lora").write(tmp_path / "cpu")
    write(tmp_path, *(predicted(batch=batch).model_dump_json() for batch in (1, 4)))
    loaded = evidence.load(tmp_path)

    assert [f"cpu/{measured.stem}"] == list(loaded.by_id)
    assert {f"predictions/{MODEL}/{predicted(batch=batch).slug}" for batch in (1, 4)} == {*loaded.predictions}
    assert {group.first.mode for group in loaded.groups} == {"measured"}
    assert [record.setup.batch for record in loaded.predictions.values()] == [1, 4]
    assert loaded.problems == ()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "EOF while parsing"),
        (make_record("lora").model_dump_json(), "it was measured, and belongs into the folder of its device"),
        (predicted().model_dump_json().replace('"batch":4', '"batch":0'), "setup.batch"),
        (predicted().model_dump_json().replace('"static_bytes":400', f'"static_bytes":{2**64}'), "beyond"),
    ],
    ids=["broken", "measured", "nonsense", "overflow"],
)
def test_a_line_that_is_no_prediction_is_refused_by_its_number_and_hides_no_other(tmp_path, line, said):
    good = predicted(batch=1), predicted(batch=2)
    path = write(tmp_path, good[0].model_dump_json(), line, good[1].model_dump_json())
    loaded = evidence.load(tmp_path)
    (problem,) = loaded.problems

    assert [*good] == [*loaded.predictions.values()]
    assert (f"predictions/{path.name}", 2, "E050") == (problem.path, problem.line, problem.code)
    assert said in problem.message


def test_how_far_predictions_were_off_is_read_as_a_table_and_not_as_records(tmp_path):
    table = planned.validation()
    table.write(tmp_path / "validation" / "cpu.json")

    assert evidence.load(tmp_path) == Records({}, validations=(table,))


def test_a_table_that_cannot_be_read_is_refused_by_name(tmp_path):
    (tmp_path / "validation").mkdir()
    (tmp_path / "validation" / "cpu.json").write_text('{"rows": []}')
    (problem,) = evidence.load(tmp_path).problems

    assert (problem.path, problem.code) == ("validation/cpu.json", "E050")
    assert problem.message.startswith("is not a table of predictions: seed: Field required")


# ---- judging ---------------------------------------------------------------------------------------------------


def test_a_test_that_asks_for_predictions_is_decided_by_them_and_names_the_command_that_made_them():
    of = {"technique": "qlora", "model": MODEL, "mode": "predicted"}
    record = predicted(peak=95 * GB)
    judged = judge(
        claim("does-not-hold", {"of": of, "within": [None, 24e9], "expect": False}), planned_records(record)
    )
    (finding,) = judged.findings

    assert (judged.verdict, judged.contradiction) == ("does-not-hold", None)
    assert (finding.kind, finding.value) == ("predicted", 95 * GB)
    assert finding.runs == (f"predictions/{MODEL}/{record.slug}",)
    assert finding.command == record.origin.command


def test_predictions_that_disagree_decide_nothing_until_the_test_chooses_one():
    of = {"technique": "qlora", "model": MODEL, "mode": "predicted"}
    given = planned_records(predicted(peak=20 * GB, batch=1), predicted(peak=30 * GB, batch=4))
    test = {"within": [None, 24e9]}

    assert judge(claim("open", {"of": of, **test}), given).verdict == "open"
    assert judge(claim("holds", {"of": {**of, "batch": 1}, **test}), given).verdict == "holds"


def test_a_test_that_does_not_ask_for_predictions_never_meets_them():
    """Not even where nothing was measured, and not where what was measured decides nothing."""
    grid = (predicted("baseline", peak=1000), predicted("lora", peak=10))
    loose = {"within": [0.9, None]}
    many = {**THIRTY_PERCENT, **loose, "seeds": 3}
    measured = records(baseline(), make_record("lora", peak=750))

    assert judge(claim("open", {**THIRTY_PERCENT, **loose}), planned_records(*grid)).verdict == "open"
    assert judge(claim("open", many), planned_records(*grid, measured=measured)).verdict == "open"
    (finding,) = judge(
        claim("does-not-hold", {**THIRTY_PERCENT, **loose, "expect": False}),
        planned_records(*grid, measured=measured),
    ).findings
    assert (finding.kind, finding.value) == ("cpu", 0.25)


def test_the_smallest_number_of_gpus_follows_from_a_prediction_in_four_bits():
    """Six of 24 GB by the parts that /plan shows; no number of them for weights in 16 bits."""
    grid = {(one.technique, one.setup.batch, one.setup.seq): one for one in planned.grid(planned.LARGE)}
    of = {"model": planned.LARGE, "mode": "predicted"}
    given = planned_records(grid["qlora", 1, 512], grid["lora", 1, 512])

    def found(technique: str, metric: str) -> Finding:
        test = {"of": {**of, "technique": technique}, "metric": metric, "within": [6, 6]}
        return judge(claim("open", test), given).findings[0]

    assert found("qlora", "gpus.24").value == 6
    assert str(found("lora", "gpus.24").why) == "gpus.24 was not measured"
    assert str(found("qlora", "gpus.23").why) == "no record has a number gpus.23"


def test_a_prediction_is_compared_with_predictions_only():
    of = {"technique": "lora", "mode": "predicted"}
    against = {"technique": "baseline", "mode": "predicted"}
    grid = (predicted("baseline", peak=1000), predicted("lora", peak=600))
    measured = records(baseline(), make_record("lora", peak=750))
    test = {"of": of, "against": against, "take": "saving", "within": [0, None]}

    (finding,) = judge(claim("holds", test), planned_records(*grid, measured=measured)).findings
    assert (finding.kind, finding.value) == ("predicted", 0.4)
    mixed = {**test, "against": {"technique": "baseline"}}
    assert judge(claim("open", mixed), planned_records(*grid, measured=measured)).verdict == "open"
