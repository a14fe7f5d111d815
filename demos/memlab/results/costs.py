"""What running a demo costs, by kind of machine: `demos/results/costs/<machine>.json`, measured. No torch."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from memlab.results.record import Bytes, Count, Device, Line, Origin, Record, Seconds
from memlab.results.writing import write_whole

FOLDER = "costs"
WORKS = {"quick": ("--quick",), "default": ()}
"""The works whose cost is told, and the options that ask for each."""


class Cost(BaseModel):
    """One command, from its start to its end: full fine-tuning and the technique beside it."""

    model_config = Record.model_config

    technique: Line
    work: Line
    seconds: Seconds
    process_bytes: Bytes
    """The largest process: what the machine must have free."""


class Costs(BaseModel):
    """What every demo costs on one machine."""

    model_config = Record.model_config

    machine: Line
    """In words, for people: what of the machine decides."""
    device: Device
    cores: Count
    origin: Origin
    rows: list[Cost]

    def of(self, technique: str, work: str) -> Cost | None:
        """Return the row of one technique and work, or None where it was not measured."""
        return next((row for row in self.rows if (row.technique, row.work) == (technique, work)), None)

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all. Raises OSError."""
        write_whole(path, self.model_dump_json(indent=1, exclude_defaults=True) + "\n")


def read_all(results: Path) -> list[Costs]:
    """Read the file of every machine, in the order of their names. Raises OSError, ValueError."""
    return [
        Costs.model_validate_json(path.read_bytes()) for path in sorted((results / FOLDER).glob("*.json"))
    ]
