"""How far the predictions are from the measurements: the model of the published table. No torch.

`python -m memlab.validate` makes it. Errors are signed fractions, figure / reference − 1: below zero, less
was said than was measured. A row whose run failed or was refused is kept, with its message.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from memlab.results.record import Bytes, Count, Device, Line, Origin, Record, Seconds, Step
from memlab.results.writing import write_whole

FOLDER = "validation"
"""Below `demos/results`: one file for each device, `<device>.json`."""

MEDIAN, WORST = 0.01, 0.03
"""The bounds that a prediction's error against an independent count is to keep."""

Figure = Literal["predicted_bytes", "accelerate_bytes", "deepspeed_bytes", "formula_bytes"]
TOOLS: dict[Figure, str] = {
    "accelerate_bytes": "accelerate's estimate-memory",
    "deepspeed_bytes": "DeepSpeed's ZeRO estimators",
    "formula_bytes": "bytes per parameter",
}
"""What people use today; `validate.other_tools` says how each figure is computed and what it omits. Bytes."""


class Row(BaseModel):
    """One configuration, measured and predicted. Bytes are those of the peak of a training step."""

    model_config = Record.model_config

    family: Line = Field(description="transformers' model_type")
    config: dict[Line, int | float | bool | Line | None] = Field(
        description="config.json, with the sizes that were drawn: what --model takes, with --random-init"
    )
    parameters: Count | None = Field(description="of the base model; tied ones count once")
    technique: Line
    step: Step | None = None
    precision: Literal["mixed", "bf16"]
    rank: Annotated[int, Field(ge=1)] | None = Field(default=None, description="of the adapters")
    stage: Annotated[int, Field(ge=0, le=3)] | None = Field(default=None, description="ZeRO stage")
    ranks: Annotated[int, Field(ge=1)] = 1
    batch: Annotated[int, Field(ge=1)]
    seq: Annotated[int, Field(ge=1)]
    status: Literal["ok", "failed", "refused"] = Field(
        description="failed = the measured run broke off; refused = it was measured, but not predicted"
    )
    message: Line | None = None
    measured_bytes: Bytes | None = Field(
        description="the record's memory.peak_bytes: the allocator's on a GPU, the ledger's elsewhere"
    )
    profiler_bytes: Bytes | None = Field(
        description="by torch's profiler, without the ledger; null on a GPU and under ZeRO"
    )
    predicted_bytes: Bytes | None
    accelerate_bytes: Bytes | None
    deepspeed_bytes: Bytes | None
    formula_bytes: Bytes | None

    @property
    def name(self) -> str:
        """`lora`, `stack + qlora`, `zero stage 2 × 2`."""
        if self.stage is not None:
            return f"{self.technique} stage {self.stage} × {self.ranks}"
        return self.technique + (f" + {self.step}" if self.step else "")

    @property
    def reference_bytes(self) -> int | None:
        """The profiler's count; where it cannot judge, what was measured."""
        return self.measured_bytes if self.profiler_bytes is None else self.profiler_bytes

    def error(self, figure: Figure = "predicted_bytes") -> float | None:
        """Return the signed error of a figure against `reference_bytes`; None where either is missing."""
        said: int | None = getattr(self, figure)
        if said is None or not self.reference_bytes:
            return None
        return said / self.reference_bytes - 1

    @property
    def off_bytes(self) -> int | None:
        """The prediction less `measured_bytes`: on a CPU, by how many bytes it misses the ledger."""
        if self.predicted_bytes is None or self.measured_bytes is None:
            return None
        return self.predicted_bytes - self.measured_bytes


@dataclass(frozen=True)
class Summary:
    """Signed errors in short."""

    n: int
    median: float
    """Of the errors' sizes, whatever their sign."""
    lowest: float
    highest: float

    @property
    def worst(self) -> float:
        """The signed error of the greatest size."""
        return max(self.lowest, self.highest, key=abs)


def summary(rows: Iterable[Row], figure: Figure = "predicted_bytes") -> Summary | None:
    """Sum up the errors of a figure over `rows`; None where there is none."""
    errors = [error for row in rows if (error := row.error(figure)) is not None]
    if not errors:
        return None
    return Summary(len(errors), statistics.median(map(abs, errors)), min(errors), max(errors))


class Validation(BaseModel):
    """One run of `memlab.validate` on one device."""

    model_config = Record.model_config

    seed: Count = Field(description="of the generator that drew the configurations")
    device: Device
    seconds: Seconds = Field(description="that the whole took, by the clock on the wall")
    origin: Origin
    rows: list[Row]

    def by_technique(self) -> dict[str, list[Row]]:
        """Return the rows of each technique, by step or stage where it has them, sorted by name."""
        found: dict[str, list[Row]] = {}
        for row in sorted(self.rows, key=lambda row: row.name):
            found.setdefault(row.name, []).append(row)
        return found

    @property
    def exact(self) -> int:
        """How many predictions are what was measured, to the byte."""
        return sum(row.off_bytes == 0 for row in self.rows)

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all. Raises OSError."""
        write_whole(path, self.model_dump_json(indent=1, exclude_defaults=True) + "\n")


def read(path: Path) -> Validation:
    """Read one file. Raises OSError, or ValueError (pydantic's) when it is no such file."""
    return Validation.model_validate_json(path.read_bytes())


def read_all(results: Path) -> list[Validation]:
    """Read the file of every device below `demos/results`, in the order of their names. Raises as `read`."""
    return [read(path) for path in sorted((results / FOLDER).glob("*.json"))]
