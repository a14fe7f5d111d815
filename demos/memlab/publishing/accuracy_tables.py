"""Predictions beside measurements as Markdown, for the README and the terminal. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from memlab.results import accuracy
from memlab.results.accuracy import MEDIAN, TOOLS, Figure, Row, Summary, Validation, summary
from memlab.results.numbers import in_bytes
from memlab.results.techniques import BASELINE


def of_folder(results: Path) -> str:
    """Return the tables of every device's validation below `demos/results`. Raises ValueError, OSError."""
    return "\n\n".join(map(markdown, accuracy.read_all(results))) or "Nothing has been published yet."


def markdown(result: Validation) -> str:
    """Return a validation in short: each technique's errors, each tool's, the rows that stand out."""
    names = ("torch", "transformers", "peft", "accelerate", "deepspeed")
    versions = ", ".join(f"{name} {result.origin.versions[name]}" for name in names)
    families = sorted({row.family for row in result.rows})
    where = f"On a {'GPU' if result.device.kind == 'cuda' else 'CPU'}, {result.device.name}"
    parts = [
        f"**{len(result.rows)} configurations, drawn with seed {result.seed}: {', '.join(families)}.** "
        f"{where}. ({versions}.) {result.exact} predictions are the ledger's measurement, to the byte. "
        "Against torch's profiler, which knows nothing of the ledger (of ranks that share the work it knows "
        "nothing either: those are against the ledger):",
        _table(("Technique", *_HEAD), [_cells(name, rows) for name, rows in _groups(result).items()]),
        "What other tools say of the same rows, and of full fine-tuning alone, which each of them knows:",
        _table(("Tool", *_HEAD), list(_tools(result))),
    ]
    if odd := [row for row in result.rows if row.status != "ok" or abs(row.error() or 0) > MEDIAN]:
        parts += ["Rows that stand out:", "\n".join(map(_odd, odd))]
    return "\n\n".join(parts)


_HEAD = ("Rows", "Median error", "From", "To")


def _groups(result: Validation) -> dict[str, list[Row]]:
    return {"all": result.rows} | result.by_technique()


def _tools(result: Validation) -> Iterator[list[str]]:
    full = [row for row in result.rows if row.technique == BASELINE]
    for figure, name in TOOLS.items():
        yield _cells(name, result.rows, figure)
        yield _cells(f"{name}, full fine-tuning", full, figure)


def _cells(name: str, rows: Iterable[Row], figure: Figure = "predicted_bytes") -> list[str]:
    short: Summary | None = summary(rows, figure)
    if short is None:
        return [name, "0", "–", "–", "–"]
    return [name, str(short.n), _percent(short.median, ""), _percent(short.lowest), _percent(short.highest)]


def _odd(row: Row) -> str:
    what = f"- {row.name}, {row.precision}, {row.family}, batch {row.batch} × {row.seq}"
    if row.status != "ok":
        return f"{what}: {row.status}: {row.message}"
    return (
        f"{what}: predicted {in_bytes(row.predicted_bytes)} of {in_bytes(row.reference_bytes)}, "
        f"{_percent(row.error() or 0)}"
    )


def _percent(fraction: float, sign: str = "+") -> str:
    """Two decimals, since these errors are small; none at all has no sign."""
    text = f"{fraction:{sign}.2%}" if abs(fraction) >= 0.00005 else "0.00%"
    return text.replace("-", "−").replace("%", " %")


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    alignment = ("---", *["--:"] * len(_HEAD))
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, alignment, *rows))
