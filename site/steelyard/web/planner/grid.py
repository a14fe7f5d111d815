"""The planner's grid: the prediction for each model, technique and load, compared with GPUs."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from memlab.results.gpu_fit import GIB, Fit, Ranks, fit, smallest_ranks
from memlab.results.record import Record
from steelyard.evidence import Group, Records
from steelyard.evidence.workloads import group_order
from steelyard.remember import remembered
from steelyard.web.evidence.labels import labels


class Load(NamedTuple):
    """What goes through the model in one step."""

    batch: int
    seq: int

    @property
    def tokens(self) -> int:
        return self.batch * self.seq


@dataclass(frozen=True)
class Prediction:
    """One prediction, made or failed."""

    id: str
    record: Record

    @property
    def known(self) -> bool:
        return self.record.status == "ok"

    def fit(self, gpu_bytes: int) -> Fit | None:
        """Return how the prediction fits a GPU; None where it failed."""
        return fit(self.record, gpu_bytes) if self.known else None


@dataclass(frozen=True)
class ModelGrid:
    """A model and all that was predicted for it."""

    name: str
    cells: Mapping[tuple[str, Load], Prediction]
    """By the key of the arm (see `arm_key`) and the load."""

    @property
    def parameters(self) -> int:
        return next(iter(self.cells.values())).record.setup.parameters

    @cached_property
    def arms(self) -> Mapping[str, Group]:
        """One prediction as a group for each arm, in reading order; its load is a placeholder (1 × 1)."""
        groups = {}
        for (arm, _load), cell in self.cells.items():
            setup = cell.record.setup.model_copy(update=Load(1, 1)._asdict())
            groups[arm] = Group({0: (cell.id, cell.record.model_copy(update={"setup": setup}))})
        return dict(sorted(groups.items(), key=lambda item: group_order(item[1])))

    @cached_property
    def loads(self) -> tuple[Load, ...]:
        return tuple(sorted({load for _arm, load in self.cells}))

    @cached_property
    def seqs(self) -> tuple[int, ...]:
        """The sequence lengths that were predicted; memlab leaves out those that a model cannot read."""
        return tuple(sorted({load.seq for load in self.loads}))

    def labels(self) -> dict[str, str]:
        """Return a name for each arm, in the language of the page."""
        return dict(zip(self.arms, labels(tuple(self.arms.values())), strict=True))

    def ranked(self, gpu_bytes: int) -> list[str]:
        """Return the arms: those that take the most tokens a step on this GPU, and then the lightest."""

        def worth(arm: str) -> tuple[int, int]:
            fits = [
                (load.tokens, fitted)
                for load in self.loads
                if (cell := self.cells.get((arm, load))) and (fitted := cell.fit(gpu_bytes))
            ]
            most = max((tokens for tokens, fitted in fits if fitted.fits), default=0)
            needed = [fitted.needed_bytes for tokens, fitted in fits if not most or tokens == most]
            return -most, min(needed, default=0)

        return sorted(self.arms, key=worth)

    def shared(self, load: Load, gpu_bytes: int) -> dict[str, Ranks | None]:
        """Return how many GPUs each arm in four bits would need under ZeRO-3; None where none would do."""
        by_arm = {}
        for arm in self.arms:
            cell = self.cells.get((arm, load))
            if cell and cell.known and "nf4" in cell.record.setup.base_dtype:
                with suppress(ValueError):  # not a shape of the lab's, whose layers it knows
                    by_arm[arm] = smallest_ranks(cell.record, gpu_bytes)
        return by_arm


@remembered(1)
def model_grids(records: Records) -> tuple[ModelGrid, ...]:
    """Return every model of the grid, the smallest first."""
    by_model: dict[str, dict[tuple[str, Load], Prediction]] = {}
    for run_id, record in records.predictions.items():
        if record.setup.rank_index is None:
            load = Load(record.setup.batch, record.setup.seq)
            by_model.setdefault(run_id.split("/")[1], {})[arm_key(record), load] = Prediction(run_id, record)
    return tuple(
        sorted(
            (ModelGrid(name, cells) for name, cells in by_model.items()), key=lambda shape: shape.parameters
        )
    )


def arm_key(record: Record) -> str:
    """Return a technique with what it brings along as an address has it: `lora-mixed-r16`."""
    setup = record.setup
    parts = (
        record.technique,
        setup.precision,
        setup.step,
        setup.init,
        setup.rank and f"r{setup.rank}",
        None if setup.stage is None else f"stage{setup.stage}",
        None if setup.ranks == 1 else f"x{setup.ranks}",
        setup.offload and "offload",
    )
    return "-".join(str(part) for part in parts if part)


def gigabytes(gpu_bytes: int) -> int:
    """Return the number in which a GPU's size is sold."""
    return gpu_bytes // GIB
