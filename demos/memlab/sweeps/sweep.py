"""Run many demos one after the other, each run in a fresh process; runs that have a record are skipped.

A sweep plans the runs of each command line, drops duplicates (every technique includes the baseline) and runs
that have their record already, and starts the others in order. So it may be stopped at any time: the same
command resumes it. A run that fails is recorded, and the rest is done.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from memlab.options.command_line import parse
from memlab.options.demo import load
from memlab.options.setup import UsageError
from memlab.publishing import measured_tables, readme
from memlab.results import provenance
from memlab.results.files import HOME, read_folder, results_folder
from memlab.results.numbers import in_bytes
from memlab.results.record import Record
from memlab.running.plan import plan
from memlab.running.process import PlannedRun, outcome, start
from memlab.running.progress import RunProgress, lines_in_a_log

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

Stage = Callable[[list[Record]], Sequence[str]]
"""Returns the commands to run, such as `lora.py --precision bf16`, given the records of the stages before."""

_DONE = frozenset({"ok", "oom", "not_applicable"})


def main(about: str, name: str, *stages: Stage) -> NoReturn:
    """Run the sweep `name`, stage by stage, as the command line says.

    Leaves with status 0 when all is done, 1 when a run failed or a script was left out, 2 on bad input, 130
    on Ctrl-C.
    """
    arguments, shared = _parser(about, name).parse_known_args()
    if arguments.publish:  # what is published must be the same twice
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    out = (arguments.out or HOME / "out" / name).resolve()
    try:
        with _lock(out):
            failures = _run_stages(stages, shared, out)
            _show(out)
            if arguments.publish:
                _publish(out)
    except UsageError as error:
        sys.stderr.write(f"{name}: {error}\n")
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        _show(out)
        sys.stderr.write(f"{name}: stopped; the same command goes on from here\n")
        raise SystemExit(130) from None
    for line in failures:
        sys.stderr.write(f"{name}: {line}\n")
    raise SystemExit(1 if failures else 0)


def _parser(about: str, name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m memlab.{name}",
        usage=f"python -m memlab.{name} [--out DIR] [--publish] [options of every demo]",
        description=about,
        epilog="Any other option is handed to every script: --device cpu, --model tiny, --seeds 3 …",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help=f"for the records; those that lie there are not made again (default: demos/out/{name})",
    )
    parser.add_argument(
        "--publish",
        action="store_true",
        help="when all is done, copy the records to demos/results/<device>/ as well",
    )
    return parser


def _lock(out: Path) -> AbstractContextManager[object]:
    """Return an acquired lock on the folder; leaving it releases the lock.

    Raises UsageError when another sweep has it, or when the folder cannot be written.
    """
    import filelock

    try:
        out.mkdir(parents=True, exist_ok=True)
        return filelock.FileLock(out / ".sweep.lock").acquire(timeout=0)
    except filelock.Timeout:
        raise UsageError(
            f"--out {out}: another sweep is writing into this folder; wait for it, or choose another --out"
        ) from None
    except OSError as error:
        raise UsageError(f"--out {out}: cannot be written ({error.strerror}); choose another --out") from None


# ---- planning --------------------------------------------------------------------------------------------


def _plan(commands: Sequence[str], shared: Sequence[str], out: Path) -> tuple[list[PlannedRun], list[str]]:
    """Return the runs of the commands, each once, and a line for each script that refuses its options.

    Raises UsageError when every script refuses: then the shared options are wrong.
    """
    runs: dict[tuple[str, int], PlannedRun] = {}
    refusals: list[str] = []
    for command in commands:
        script, *words = command.split()
        demo = load(script.removesuffix(".py"))
        try:
            setup, _ = parse([*words, *shared, "--out", str(out)], demo, "", home=HOME)
        except UsageError as error:
            refusals.append(f"{script}: {error}")
            continue
        for run in plan(demo, HOME / script, setup):
            runs.setdefault(_identity(run.job.command, run.job.seed), run)
    if refusals and not runs:
        raise UsageError(refusals[0])
    return list(runs.values()), list(dict.fromkeys(refusals))


def _identity(command: str, seed: int) -> tuple[str, int]:
    """Return what identifies a run: its command without the number of seeds, and its seed."""
    return re.sub(r" --seeds \d+", "", command), seed


def _done(out: Path) -> dict[tuple[str, int], Record]:
    """Return the folder's records by identity: those of finished runs with the installed versions."""
    versions = provenance.versions()
    return {
        _identity(record.origin.command, record.setup.seed): record
        for record in read_folder(out)
        if record.status in _DONE and record.setup.rank_index is None and record.origin.versions == versions
    }


# ---- running ---------------------------------------------------------------------------------------------


def _run_stages(stages: Sequence[Stage], shared: Sequence[str], out: Path) -> list[str]:
    """Run what has no record yet; return a line for each run that failed and each script that refused."""
    failures: list[str] = []
    for stage in stages:
        planned, refusals = _plan(stage(read_folder(out)), shared, out)
        failures += refusals
        done = _done(out)
        missing = [run for run in planned if _identity(run.job.command, run.job.seed) not in done]
        if already := len(planned) - len(missing):
            sys.stderr.write(f"already done: {already} of {len(planned)} runs, in {out}\n")
        if missing:
            failures += _run_all(missing, out)
    return failures


def _run_all(runs: Sequence[PlannedRun], out: Path) -> list[str]:
    """Run all, one after the other; return a line for every run that failed."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.fields[which]}"),
        BarColumn(bar_width=20),
        TimeElapsedColumn(),
        TextColumn("elapsed, about"),
        TimeRemainingColumn(),
        TextColumn("left · {task.description}"),
    )
    failures: list[str] = []
    # The estimate is the mean of all runs so far, not of the last seconds.
    with Progress(*columns, console=Console(stderr=True), speed_estimate_period=float("inf")) as progress:
        task = progress.add_task("", total=sum(run.total_work for run in runs), which="")
        for number, run in enumerate(runs, 1):
            failures += _run(run, f"{number} of {len(runs)}", out, progress, task)
    return failures


def _run(run: PlannedRun, which: str, out: Path, progress: Progress, task: TaskID) -> list[str]:
    """Run one, write its records and print a line; return that line if it failed."""
    name = f"{run.job.command.removeprefix('python demos/')}, seed {run.job.seed}"
    progress.update(task, which=f"{which}: {name}", description="starting")
    completed_before, start_time = progress.tasks[0].completed, time.monotonic()

    state = RunProgress(run)

    def on_progress(message: dict[str, Any]) -> None:
        state.update(message)
        progress.update(task, description=state.description, completed=completed_before + state.done)

    try:
        with lines_in_a_log(lambda: f"{which}  {state.line()}"):
            records = start(run, on_progress)
    except (UsageError, SystemExit) as error:
        line = f"{name}: {error}"
        failed = True
    else:
        for record in records:
            record.write(out)
        result = records[0]
        peak = f", peak {in_bytes(result.memory.peak_bytes)}" if result.status == "ok" else ""
        line = f"{name}: {outcome(result)}{peak} ({time.monotonic() - start_time:.0f} s)"
        failed = result.status == "failed"
    progress.update(task, completed=completed_before + run.total_work)
    progress.console.print(f"{which}  {line}", highlight=False, markup=False, soft_wrap=True)
    return [line] if failed else []


# ---- the result ------------------------------------------------------------------------------------------


def _show(out: Path) -> None:
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console()
    if not console.is_terminal:
        console.width = 140  # a log is as wide as the table
    console.print(Markdown(measured_tables.of_folder(out) or "No record yet."))


def _publish(out: Path) -> None:
    """Copy every result to the folder of its device, and regenerate the READMEs from them."""
    for record in read_folder(out):
        if record.status in ("ok", "oom"):
            record.write(results_folder(record.device, HOME))
    readme.regenerate(HOME)
