"""Records are read from files; one that is foreign or corrupted is refused by name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from records import make_record
from steelyard import evidence
from steelyard.evidence import Records

# ---- files ----------------------------------------------------------------------------------------------


def test_records_are_read_under_their_path_and_can_be_replayed(tmp_path):
    path = make_record("lora").write(tmp_path / "cpu")
    loaded = evidence.load(tmp_path)
    ((id, record),) = loaded.by_id.items()

    assert f"cpu/{path.stem}" == id
    assert f"python demos/lora.py --like demos/results/{id}.json" == evidence.replay(id, record)
    assert loaded.problems == ()


def _without_memory(record: dict[str, Any]) -> None:
    del record["memory"]


def _with_a_stranger(record: dict[str, Any]) -> None:
    record["tokens / sec"] = 3


def _with_a_false_sum(record: dict[str, Any]) -> None:
    record["memory"]["breakdown_at_peak"]["weights"] += 1


def _with_another_setup(record: dict[str, Any]) -> None:
    record["setup"]["batch"] = 64


def _with_an_escape(record: dict[str, Any]) -> None:
    record["device"]["name"] = "\x1b[31mH100"


def _with_a_number_beyond_all_measure(record: dict[str, Any]) -> None:
    record["memory"]["process_bytes"] = 10**400


def _with_a_moment_beyond_all_measure(record: dict[str, Any]) -> None:
    record["memory"]["timeline"][1][0] = 1e30


def _with_a_version_of_tomorrow(record: dict[str, Any]) -> None:
    record["schema_version"] = 2


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (_without_memory, "memory: Field required"),
        (_with_a_stranger, "tokens / sec: Extra inputs"),
        (_with_a_false_sum, "does not sum to ledger_peak_bytes"),
        (_with_another_setup, "its setup belongs under the name"),
        (_with_an_escape, "control characters"),
        (_with_a_version_of_tomorrow, "schema_version"),
        (_with_a_number_beyond_all_measure, "a number beyond 9.2e+18"),
        (_with_a_moment_beyond_all_measure, "a number beyond 9.2e+18"),
    ],
)
def test_a_foreign_record_is_refused_by_name_and_hides_no_other(tmp_path, tamper, said):
    good = make_record("baseline").write(tmp_path / "cpu")
    bad = make_record("lora").write(tmp_path / "cpu")
    content = json.loads(bad.read_text())
    tamper(content)
    bad.write_text(json.dumps(content))
    loaded = evidence.load(tmp_path)

    assert {f"cpu/{good.stem}"} == set(loaded.by_id)
    (problem,) = loaded.problems
    assert (f"cpu/{bad.name}", "E050") == (problem.path, problem.code)
    assert said in problem.message


@pytest.mark.parametrize(
    "junk", [b"", b"{", b"null", b"\xff\xfe", b"[" * 100_000, b'{"schema_version": NaN}']
)
def test_bytes_that_are_no_record_are_refused(tmp_path, junk):
    (tmp_path / "junk.json").write_bytes(junk)
    loaded = evidence.load(tmp_path)

    assert loaded.by_id == {}
    assert [problem.path for problem in loaded.problems] == ["junk.json"]


def test_the_schema_beside_the_records_is_not_taken_for_one(tmp_path):
    (tmp_path / "schema.json").write_text("{}")

    assert Records({}) == evidence.load(tmp_path)
