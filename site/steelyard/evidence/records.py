"""The published records: read from their folder, put together as repeats, and selected by their fields.

What was measured lies in a folder for each device, a file a run. What was predicted for the planner lies in
`predictions`, a file for each model and a record a line: some hundred times as many, so they are kept apart,
and nobody meets them who does not ask for predictions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from memlab.results.accuracy import FOLDER as VALIDATION
from memlab.results.accuracy import Validation
from memlab.results.comparing import field
from memlab.results.costs import FOLDER as COSTS
from memlab.results.costs import Costs
from memlab.results.files import PREDICTIONS
from memlab.results.groups import Group, identity
from memlab.results.record import Record, Setup
from steelyard.problems import Problem

Kind = Literal["gpu", "cpu", "predicted", "computed", "cited"]
"""How a figure was obtained, the stronger kind first."""

SELECTORS = frozenset({"technique", "mode", "device"} | set(Setup.model_fields) - {"seed", "data_sha256"})
"""The fields by which a test may select records; `device` is cuda, cpu or fake."""

MAX_RECORD_BYTES = 4 * 1024**2

LARGEST = 2**63
"""Upper bound for any number in a record; larger values are rejected, since later arithmetic may overflow."""

Table = TypeVar("Table", bound=BaseModel)


@dataclass(frozen=True)
class Records:
    """The published records by id: the path below the results folder, without suffix (`cpu/lora-mixed-…`)."""

    by_id: Mapping[str, Record]
    problems: tuple[Problem, ...] = ()
    predictions: Mapping[str, Record] = dataclasses.field(default_factory=dict)
    """The planner's, by file and name (`predictions/<model>/lora-mixed-…`), those that failed included."""
    validations: tuple[Validation, ...] = ()
    """How far predictions lay from measurements, a table for each device."""
    costs: tuple[Costs, ...] = ()
    """What running a demo takes, a table for each machine."""

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The usable records (`status: ok`) as groups of repeats, in the order of their ids.

        Of a run on several ranks the record of all of them counts; those of single ranks are its details.
        """
        usable = [
            (identity(record), record.setup.seed, run_id, record)
            for run_id, record in sorted(self.by_id.items())
            if record.status == "ok" and record.setup.rank_index is None
        ]
        usable.sort(key=lambda item: item[:3])
        return tuple(
            Group({seed: (run_id, record) for _, seed, run_id, record in repeats})
            for _, repeats in groupby(usable, key=lambda item: item[0])
        )

    @cached_property
    def by_technique(self) -> Mapping[str, tuple[Group, ...]]:
        """The groups of each technique, in their order."""
        by_name: dict[str, list[Group]] = {}
        for group in self.groups:
            by_name.setdefault(group.first.technique, []).append(group)
        return {technique: tuple(groups) for technique, groups in by_name.items()}

    @cached_property
    def predicted(self) -> Records:
        """The planner's predictions as records of their own."""
        return Records(self.predictions)

    def meant(self, selection: Mapping[str, Any]) -> tuple[Group, ...]:
        """Return the groups that a test's `of` or `against` names.

        The planner's predictions are among them only where it asks for predictions by name.
        """
        named = str(selection["technique"])
        groups = self.by_technique.get(named, ())
        if selection.get("mode") == "predicted" or selection.get("device") == "fake":
            groups += self.predicted.by_technique.get(named, ())
        return tuple(
            group
            for group in groups
            if all(field(group.first, name) == wanted for name, wanted in selection.items())
        )


def load(folder: Path) -> Records:
    """Read every record below `folder`; one that is foreign or corrupted is refused by name in `problems`."""
    by_id: dict[str, Record] = {}
    problems: list[Problem] = []
    for path in sorted(folder.rglob("*.json")):
        name = path.relative_to(folder)
        if name == Path("schema.json") or name.parts[0] in (PREDICTIONS, VALIDATION, COSTS):
            continue
        try:
            by_id[name.with_suffix("").as_posix()] = _read(path)
        except (OSError, ValueError) as error:
            problems.append(_problem(name, 1, error))
    predictions, broken = _predictions(folder)
    validations, unreadable = _tables(folder / VALIDATION, Validation, "table of predictions")
    costs, uncounted = _tables(folder / COSTS, Costs, "table of costs")
    return Records(by_id, (*problems, *broken, *unreadable, *uncounted), predictions, validations, costs)


def replay(run_id: str, record: Record) -> str:
    """Return the command that repeats a published run; what was measured is printed beside what is now."""
    if run_id.startswith(f"{PREDICTIONS}/"):
        return record.origin.command
    return f"python demos/{record.technique}.py --like demos/results/{run_id}.json"


def _read(path: Path) -> Record:
    record = _checked(_bytes(path))
    if path.stem != record.slug:
        raise ValueError(f"its setup belongs under the name {record.slug}.json")
    return record


def _predictions(folder: Path) -> tuple[dict[str, Record], list[Problem]]:
    by_id: dict[str, Record] = {}
    problems: list[Problem] = []
    for path in sorted((folder / PREDICTIONS).glob("*.jsonl")):
        name = path.relative_to(folder)
        try:
            lines = _bytes(path).splitlines()
        except (OSError, ValueError) as error:
            problems.append(_problem(name, 1, error))
            continue
        for number, line in enumerate(lines, 1):
            try:
                record = _checked(line)
                if record.mode != "predicted":
                    raise ValueError("it was measured, and belongs into the folder of its device")
            except ValueError as error:
                problems.append(_problem(name, number, error))
            else:
                by_id[f"{name.with_suffix('').as_posix()}/{record.slug}"] = record
    return by_id, problems


def _tables(folder: Path, kind: type[Table], thing: str) -> tuple[tuple[Table, ...], list[Problem]]:
    """Read what is neither a record nor the planner's: one file for each device or machine."""
    tables: list[Table] = []
    problems: list[Problem] = []
    for path in sorted(folder.glob("*.json")):
        try:
            tables.append(kind.model_validate_json(_bytes(path)))
        except (OSError, ValueError) as error:
            problems.append(_problem(path.relative_to(folder.parent), 1, error, thing))
    return tuple(tables), problems


def _bytes(path: Path) -> bytes:
    if path.is_symlink():
        raise ValueError("a link is not followed")
    if (size := path.stat().st_size) > MAX_RECORD_BYTES:
        raise ValueError(f"{size} bytes are more than {MAX_RECORD_BYTES}")
    return path.read_bytes()


def _checked(text: bytes) -> Record:
    record = Record.model_validate_json(text)
    rest = record.model_dump(exclude={"memory": {"timeline"}})
    if not (all(max(row) < LARGEST for row in record.memory.timeline) and _is_measurable(rest)):
        raise ValueError(f"it holds a number beyond {LARGEST:.2g}")
    return record


def _problem(name: Path, line: int, error: Exception, thing: str = "record") -> Problem:
    return Problem(name.as_posix(), line, 1, "E050", f"is not a {thing}: {_reason(error)}")


def _is_measurable(value: object) -> bool:
    if isinstance(value, dict):
        return all(map(_is_measurable, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_measurable, value))
    return not isinstance(value, int | float) or abs(value) < LARGEST


def _reason(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first, *others = error.errors(include_url=False)
    place = ".".join(map(str, first["loc"]))
    more = f" (and {len(others)} more)" if others else ""
    return f"{place + ': ' if place else ''}{first['msg']}{more}"
