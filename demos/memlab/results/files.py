"""Where records lie: folders of one JSON file a record, and the grid of predictions, one a line. No torch.

The site reads the grid (`steelyard.evidence`) line by line, and names the lines that are no records.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from memlab.results.record import STEPS, Device, Record, read
from memlab.results.writing import write_whole

HOME = Path(__file__).parents[2]
"""The folder of the project's own scripts, their pages and the published records."""

PREDICTIONS = "predictions"
"""The folder of the grid, below the published records."""
PREDICTIONS_SUFFIX = ".jsonl"


def write_predictions(path: Path, records: Iterable[Record]) -> None:
    """Write the records into one file, sorted, whole or not at all. Raises OSError."""
    lines = (record.model_dump_json() + "\n" for record in sorted(records, key=_order))
    write_whole(path, "".join(lines))


def _order(record: Record) -> tuple[str, int, str, int, int, int]:
    setup = record.setup
    step = STEPS.index(setup.step) if setup.step else -1
    return record.technique, step, setup.precision, setup.stage or 0, setup.batch, setup.seq


def results_folder(device: Device, home: Path) -> Path:
    """The folder for published records: `cpu`, or the GPU's name in small letters."""
    name = (
        re.sub(r"[^a-z0-9]+", "-", device.name.lower()).strip("-") if device.kind == "cuda" else device.kind
    )
    return home / "results" / name


def read_folder(folder: Path) -> list[Record]:
    """Read the records in one folder, leaving out files that are none."""
    records = []
    for path in sorted(folder.glob("*.json")):
        try:
            records.append(read(path))
        except (OSError, ValueError):
            continue
    return records
