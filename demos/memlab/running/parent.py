"""What the user's own process does: start the runs, show how they get on, print the result. No torch."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memlab.options.setup import Setup, folder_for
from memlab.publishing import readme
from memlab.results.files import read_folder, results_folder
from memlab.results.record import Record
from memlab.running.process import PlannedRun, outcome, start
from memlab.running.progress import RunProgress, lines_in_a_log

if TYPE_CHECKING:
    from rich.progress import TaskID

_CORES = os.cpu_count() or 1


def run(runs: Sequence[PlannedRun], setup: Setup, theirs: Record | None, *, home: Path) -> list[Record]:
    """Make the runs and print what they measured; return their records, those of single ranks among them.

    `theirs` is the record that they repeat, `home` the folder of the script. Raises UsageError.
    """
    records = _run_all(runs, setup, home)
    if setup.publish:
        readme.regenerate(home)
    if setup.json:
        print(json.dumps([record.model_dump(mode="json") for record in records], indent=1))
        return records
    from memlab.publishing import figures, terminal

    folders = folder_for(setup, home), results_folder(records[0].device, home)
    earlier = [record for folder in folders for record in read_folder(folder)]
    shown = [record for record in records if record.setup.rank_index is None]
    terminal.show(shown, theirs=theirs, earlier=earlier)
    if setup.gpu_memory is not None:
        terminal.show_fit(shown, setup.gpu_memory)
    if not setup.predict:  # a prediction has no course in time to draw
        for path in figures.draw(shown, earlier, folders[0]):
            sys.stderr.write(f"wrote {_short(path)}\n")
    return records


def _short(path: Path) -> str:
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def _run_all(runs: Sequence[PlannedRun], setup: Setup, home: Path) -> list[Record]:
    """Run one after the other, writing each record as soon as it is there.

    Predictions, which measure no time and hardly take memory, run side by side.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        SpinnerColumn(),
        TextColumn("{task.fields[name]}"),
        BarColumn(bar_width=20),
        TimeElapsedColumn(),
        TextColumn("elapsed, about"),
        TimeRemainingColumn(),
        TextColumn("left · {task.description}"),
    )
    running: dict[TaskID, RunProgress] = {}

    def run_one(run: PlannedRun) -> list[Record]:
        name = f"{run.name}, seed {run.job.seed}"
        task = bars.add_task("starting", name=name, total=run.total_work or None)
        progress = running[task] = RunProgress(run)

        def on_progress(message: dict[str, Any]) -> None:
            progress.update(message)
            bars.update(task, description=progress.description, completed=progress.done)

        try:
            results = start(run, on_progress)
        finally:
            del running[task]
        result = results[0]
        bars.update(task, description=outcome(result), completed=1, total=1)
        # Only a result is published; a failure, or what this device has no use for, is for its owner.
        published = setup.publish and result.status in ("ok", "oom")
        folder = results_folder(result.device, home) if published else folder_for(setup, home)
        for path in [record.write(folder) for record in results]:
            bars.console.print(f"wrote {_short(path)}", highlight=False, markup=False, soft_wrap=True)
        return results

    def state() -> str:
        return "\n".join(progress.line() for progress in list(running.values())) or "starting"

    with (
        # The estimate is the mean of all the run, not of its last seconds.
        Progress(*columns, console=Console(stderr=True), speed_estimate_period=float("inf")) as bars,
        lines_in_a_log(state),
        ThreadPoolExecutor(_CORES) as pool,
    ):
        every = pool.map(run_one, runs) if setup.predict else map(run_one, runs)
        return list(chain.from_iterable(every))
