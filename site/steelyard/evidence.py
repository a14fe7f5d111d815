"""Records and claims to verdicts: pure functions. A number on a page comes from here, or from nowhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from memlab.record import Record
from steelyard.bank.model import Claim, Problem, Test, Verdict

Kind = Literal["gpu", "cpu", "predicted", "computed", "cited"]
"""How a figure was obtained, the stronger kind first."""


@dataclass(frozen=True)
class Records:
    """The published records by id: the path below the results folder, without suffix (`cpu/lora-mixed-…`)."""

    by_id: Mapping[str, Record]
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class Difference:
    """A setup field in which the two sides of a comparison differ."""

    field: str
    of: Any
    against: Any


@dataclass(frozen=True)
class Finding:
    """What one test of a claim found for one group of repeats (or pair of such groups)."""

    test: Test
    within: bool | None
    """Whether the value lies in the test's interval; None when nothing decides it, and then `why` says why."""
    kind: Kind | None = None
    value: float | None = None
    """Median over the repeats; a saving is a fraction, bytes are bytes."""
    spread: tuple[float, float] | None = None
    """Smallest and largest value over the repeats."""
    runs: tuple[str, ...] = ()
    against_runs: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()
    device: str | None = None
    command: str | None = None
    """What to type to measure it again."""
    why: str | None = None


@dataclass(frozen=True)
class Judgement:
    """A claim, the verdict that the evidence gives, and the findings behind it."""

    claim: Claim
    verdict: Verdict
    """`open` when nothing decides the claim yet ("not measured yet")."""
    findings: tuple[Finding, ...] = ()
    contradiction: str | None = None
    """What the records say against the taught verdict, or None when they agree (E040)."""


def load(folder: Path) -> Records:
    """Read every record below `folder`; one that is foreign or corrupted is refused by name in `problems`."""
    raise NotImplementedError


def judge(claim: Claim, records: Records) -> Judgement:
    """Judge one claim by its tests."""
    raise NotImplementedError
