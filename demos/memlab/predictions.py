"""The grid of predictions, `demos/results/predictions/<shape>.jsonl`: a predicted record a line. No torch.

The site reads them (`steelyard.evidence`), line by line, and names those that are no records.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from memlab.record import STEPS, Record

SUFFIX = ".jsonl"


def write_file(path: Path, records: Iterable[Record]) -> None:
    """Write the records into one file, sorted, whole or not at all. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    lines = (one.model_dump_json() + "\n" for one in sorted(records, key=_order))
    partial.write_text("".join(lines), encoding="utf-8")
    partial.replace(path)


def _order(one: Record) -> tuple[str, int, str, int, int, int]:
    setup = one.setup
    step = STEPS.index(setup.step) if setup.step else -1
    return one.technique, step, setup.precision, setup.stage or 0, setup.batch, setup.seq
