"""The grid of predictions, `demos/results/predictions/<shape>.jsonl`: a predicted record a line. No torch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from memlab.record import STEPS, Record

SUFFIX = ".jsonl"


def read(folder: Path) -> list[Record]:
    """Return the records of all files of `folder`, in the order of their names and lines.

    Raises OSError, or ValueError with the file and the line that holds no record.
    """
    return [one for path in sorted(folder.glob(f"*{SUFFIX}")) for one in read_file(path)]


def read_file(path: Path) -> list[Record]:
    """Return the records of one file. Raises OSError, or ValueError with the line that holds no record."""
    records = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            records.append(Record.model_validate_json(line))
        except ValueError as error:
            raise ValueError(f"{path.name}:{number}: is no record ({str(error).splitlines()[0]})") from None
    return records


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
