"""What the user's own process does: start the runs, show how they get on, print the result. No torch."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

from memlab.options.setup import Setup, folder_for
from memlab.publishing import readme
from memlab.results.files import read_folder, results_folder
from memlab.results.record import Record
from memlab.results.stages import STAGES
from memlab.running.process import PlannedRun, outcome, start

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
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.fields[name]}"),
        BarColumn(bar_width=20),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )

    def run_one(run: PlannedRun) -> list[Record]:
        task = progress.add_task("starting", name=f"{run.name}, seed {run.job.seed}", total=None)

        def show(message: dict[str, Any]) -> None:
            progress.update(
                task,
                description=STAGES[message["stage"]],
                completed=message["done"],
                total=message["of"],
            )

        results = start(run, show)
        result = results[0]
        progress.update(task, description=outcome(result), completed=1, total=1)
        # Only a result is published; a failure, or what this device has no use for, is for its owner.
        published = setup.publish and result.status in ("ok", "oom")
        folder = results_folder(result.device, home) if published else folder_for(setup, home)
        for path in [record.write(folder) for record in results]:
            progress.console.print(f"wrote {_short(path)}", highlight=False, markup=False, soft_wrap=True)
        return results

    with Progress(*columns, console=Console(stderr=True)) as progress, ThreadPoolExecutor(_CORES) as pool:
        every = pool.map(run_one, runs) if setup.predict else map(run_one, runs)
        return list(chain.from_iterable(every))
