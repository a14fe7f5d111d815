"""How far the predictions lay from what was measured, and other tools' figures of the same runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flask_babel import gettext as _

from memlab.results.accuracy import TOOLS, Figure, Row, Summary, Validation, summary
from memlab.results.record import Device, Record
from steelyard.evidence import Records
from steelyard.remember import remembered
from steelyard.web.text import numbers
from steelyard.web.text.technique_texts import title
from steelyard.web.text.vocabulary import step_words


@dataclass(frozen=True)
class Accuracy:
    """How far predictions of a technique lay from what was measured, and on what it was measured."""

    summary: Summary
    on_gpu: bool


@dataclass(frozen=True)
class ErrorTable:
    """One device's comparison of predictions with measurements."""

    device: Device
    runs: int
    """How many of them have both."""
    exact: int
    """How many predictions are what the ledger counted, to the byte."""
    columns: tuple[str, ...]
    """Whose figures they are: the predictor's, and then other tools'."""
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    """A technique and the errors of each; the last row is of all techniques together."""
    command: str


def accuracy_of(record: Record, validations: Sequence[Validation]) -> Accuracy | None:
    """Return the error of a record's technique: as measured on a GPU where it was, else on a CPU."""
    for validation in sorted(validations, key=lambda each: each.device.kind != "cuda"):
        if errors := summary(row for row in validation.rows if _is_of(row, record)):
            return Accuracy(errors, validation.device.kind == "cuda")
    return None


@remembered(8)
def error_tables(records: Records, language: str) -> tuple[ErrorTable, ...]:
    """Return a table for each device on which predictions were compared with measurements, a GPU's first."""
    tables = []
    for validation in sorted(records.validations, key=lambda validation: validation.device.kind != "cuda"):
        groups = [(row_words(rows[0]), rows) for rows in validation.by_technique().values()]
        groups.append((_("together"), validation.rows))
        tables.append(
            ErrorTable(
                validation.device,
                sum(row.error() is not None for row in validation.rows),
                validation.exact,
                (_("our prediction"), *map(tool_words, TOOLS)),
                tuple((words, _errors(rows)) for words, rows in groups),
                validation.origin.command,
            )
        )
    return tuple(tables)


def tool_words(figure: Figure) -> str:
    """Return the name of another tool's figure; `memlab.validate.other_tools` says how each is computed."""
    match figure:
        case "accelerate_bytes":
            return _("accelerate's estimate-memory")
        case "deepspeed_bytes":
            return _("DeepSpeed's ZeRO estimators")
    return _("bytes per parameter")


def row_words(row: Row) -> str:
    """Return a technique of the comparison, with its step or stage."""
    name = title(row.technique)
    if row.stage is not None:
        return _("%(name)s, stage %(stage)s on %(ranks)s ranks", name=name, stage=row.stage, ranks=row.ranks)
    return f"{name} + {step_words(row.step)}" if row.step else name


def _errors(rows: Sequence[Row]) -> tuple[str, ...]:
    own = _spread(summary(rows))
    return (own, *(_spread(summary(rows, figure)) for figure in TOOLS))


def _spread(errors: Summary | None) -> str:
    if errors is None:
        return "–"
    return _(
        "%(median)s (%(low)s to %(high)s)",
        median=numbers.error(errors.median),
        low=numbers.deviation(errors.lowest),
        high=numbers.deviation(errors.highest),
    )


def _is_of(row: Row, record: Record) -> bool:
    setup = record.setup
    return (row.technique, row.step, row.stage) == (record.technique, setup.step, setup.stage)
