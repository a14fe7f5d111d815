"""The published records: read from their folder, put together as repeats, and selected by their fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from memlab.record import Record, Setup, read
from steelyard.bank.model import Problem

Kind = Literal["gpu", "cpu", "predicted", "computed", "cited"]
"""How a figure was obtained, the stronger kind first."""

SELECTORS = frozenset({"technique", "mode", "device"} | set(Setup.model_fields) - {"seed", "data_sha256"})
"""The fields by which a test may select records; `device` is cuda, cpu or fake."""

MAX_RECORD_BYTES = 4 * 1024**2

LARGEST = 2**63
"""No measurement comes near it, and reckoning with what lies beyond may overflow."""

_KIND_OF_DEVICE: dict[str, Kind] = {"cuda": "gpu", "cpu": "cpu", "fake": "predicted"}


@dataclass(frozen=True)
class Group:
    """Repeats: measured runs that differ in nothing but the seed, by seed."""

    runs: Mapping[int, tuple[str, Record]]

    @property
    def first(self) -> Record:
        return next(iter(self.runs.values()))[1]

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(id for id, _ in self.runs.values())

    @property
    def kind(self) -> Kind:
        return _KIND_OF_DEVICE[self.first.device.kind]

    @cached_property
    def arm(self) -> str:
        """What repeats at other learning rates have in common with these, as text."""
        return _identity(self.first, "lr")


@dataclass(frozen=True)
class Records:
    """The published records by id: the path below the results folder, without suffix (`cpu/lora-mixed-…`)."""

    by_id: Mapping[str, Record]
    problems: tuple[Problem, ...] = ()

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The usable records (`status: ok`) as groups of repeats, in the order of their ids.

        Of a run on several ranks the record of all of them counts; those of single ranks are its details.
        """
        usable = [
            (_identity(record), record.setup.seed, id, record)
            for id, record in sorted(self.by_id.items())
            if record.status == "ok" and record.setup.rank_index is None
        ]
        usable.sort(key=lambda item: item[:3])
        return tuple(
            Group({seed: (id, record) for _, seed, id, record in repeats})
            for _, repeats in groupby(usable, key=lambda item: item[0])
        )

    @cached_property
    def by_technique(self) -> Mapping[str, tuple[Group, ...]]:
        """The groups of each technique, in their order."""
        found: dict[str, list[Group]] = {}
        for group in self.groups:
            found.setdefault(group.first.technique, []).append(group)
        return {technique: tuple(groups) for technique, groups in found.items()}


def load(folder: Path) -> Records:
    """Read every record below `folder`; one that is foreign or corrupted is refused by name in `problems`."""
    by_id: dict[str, Record] = {}
    problems: list[Problem] = []
    for path in sorted(folder.rglob("*.json")):
        name = path.relative_to(folder)
        if name == Path("schema.json"):
            continue
        try:
            by_id[name.with_suffix("").as_posix()] = _read(path)
        except (OSError, ValueError) as error:
            problems.append(Problem(name.as_posix(), 1, 1, "E050", f"is not a record: {_reason(error)}"))
    return Records(by_id, tuple(problems))


def selects(selection: Mapping[str, Any], record: Record) -> bool:
    """Say whether `record` is among those that a test's `of` or `against` names."""
    return all(field(record, name) == wanted for name, wanted in selection.items())


def field(record: Record, name: str) -> Any:
    """Return a field by which records are selected and compared. Raises AttributeError."""
    match name:
        case "technique" | "mode":
            return getattr(record, name)
        case "device":
            return record.device.kind
        case "device name":
            return record.device.name
        case _:
            return getattr(record.setup, name)


def replay(id: str, record: Record) -> str:
    """Return the command that measures a published run again and prints both side by side."""
    return f"python demos/{record.technique}.py --like demos/results/{id}.json"


def _read(path: Path) -> Record:
    if path.is_symlink():
        raise ValueError("a link is not followed")
    if (size := path.stat().st_size) > MAX_RECORD_BYTES:
        raise ValueError(f"{size} bytes are more than {MAX_RECORD_BYTES}")
    record = read(path)
    rest = record.model_dump(exclude={"memory": {"timeline"}})
    if not (all(max(row) < LARGEST for row in record.memory.timeline) and _is_measurable(rest)):
        raise ValueError(f"it holds a number beyond {LARGEST:.2g}")
    if path.stem != record.slug:
        raise ValueError(f"its setup belongs under the name {record.slug}.json")
    return record


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


def _identity(record: Record, *without: str) -> str:
    """Return what repeats have in common, as text that sorts."""
    device = record.device
    versions = sorted(record.origin.versions.items())
    setup = [item for item in record.setup.without_seed().items() if item[0] not in without]
    return repr((record.technique, record.mode, device.kind, device.name, setup, versions))
