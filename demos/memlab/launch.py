"""Run a demo: a fresh process for every run, progress on stderr, the result on stdout.

The process that the user starts reads the command line and never loads torch. It starts itself (and
`baseline.py` before itself) once per technique and seed; `memlab.runs` says how. A program that starts a demo
follows it by `memlab.events`.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from memlab import ranks, readme, record
from memlab.arguments import parse, refuse
from memlab.events import EVENTS, run_all
from memlab.runs import JOB, PLAN, STAGES, Job, Run, outcome, start
from memlab.setup import (
    ADAPTER_OPTIONS,
    OWN_OPTIONS,
    Setup,
    UsageError,
    folder_for,
    results_folder,
)

if TYPE_CHECKING:
    from memlab.measure import Build

_CORES = os.cpu_count() or 1


def main(
    technique: str,
    about: str | None,
    build: Build,
    *,
    lr: float,
    adapters: bool = False,
    own: Sequence[str] = (),
    lr_of: Mapping[str, float] | None = None,
    needs: Sequence[str] = (),
    sharded: bool = False,
) -> None:
    """Run the demo that the command line asks for.

    `about` is the demo's docstring, `lr` its default learning rate (`lr_of` that of single steps), `adapters`
    whether it has a rank and an alpha, `own` its further options, `needs` the packages without which it
    cannot run. Leaves with status 2 on bad input, 1 when a run failed, 130 on Ctrl-C. Running out of memory
    is a result.
    """
    script = Path(sys.argv[0]).resolve()
    try:
        setup, theirs = parse(
            sys.argv[1:],
            technique=technique,
            about=about or "",
            lr=lr,
            adapters=adapters,
            home=script.parent,
            own=own,
            lr_of=lr_of,
            needs=needs,
            sharded=sharded,
        )
        if JOB in os.environ:
            _child(technique, build, setup, Job(**json.loads(os.environ[JOB])))
        else:
            usual = (lr_of or {}).get(setup.step or "", lr)
            runs = _plan(script, setup, theirs, usual, steps="step" in own)
            if PLAN in os.environ:
                print(json.dumps([run.to_json() for run in runs]))
            elif EVENTS in os.environ:
                _leave(run_all(runs, folder_for(setup, script.parent)))
            else:
                _parent(script, setup, runs, theirs)
    except UsageError as error:
        refuse(technique, error)
    except KeyboardInterrupt:
        sys.stderr.write(f"{technique}.py: stopped\n")
        raise SystemExit(130) from None


# ---- the parent ------------------------------------------------------------------------------------------


def _parent(script: Path, setup: Setup, runs: list[Run], theirs: record.Record | None) -> None:
    home = script.parent
    records = _run_all(runs, setup, home)
    if setup.publish:
        readme.regenerate(home)
    if setup.json:
        print(json.dumps([one.model_dump(mode="json") for one in records], indent=1))
    else:
        from memlab import compare, picture, report

        folders = folder_for(setup, home), results_folder(records[0].device, home)
        earlier = [one for folder in folders for one in compare.read_folder(folder)]
        shown = [one for one in records if one.setup.rank_index is None]
        report.show(shown, theirs=theirs, earlier=earlier)
        if setup.gpu_memory is not None:
            report.show_fit(shown, setup.gpu_memory)
        if not setup.predict:  # a prediction has no course in time to draw
            for path in picture.draw(shown, earlier, folders[0]):
                sys.stderr.write(f"wrote {_short(path)}\n")
    _leave(records)


def _leave(records: list[record.Record]) -> None:
    if any(one.status == "failed" for one in records):
        raise SystemExit(1)


def _short(path: Path) -> str:
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def _plan(script: Path, setup: Setup, theirs: record.Record | None, lr: float, *, steps: bool) -> list[Run]:
    """List the runs: for each seed the baseline, then the technique, so that a drift hits both alike.

    A demo with `steps` runs each of them that is asked for, beside the baseline in both precisions.
    """
    usual = ("lr",) if setup.lr == lr else ()
    if steps:
        usual = (*usual, "precision")
    if theirs is not None:
        return [_run(script, setup, theirs.setup.seed, leave_out=("like", *usual))]
    precisions: tuple[Literal["mixed", "bf16"], ...] = ("mixed", "bf16") if steps else (setup.precision,)
    runs = []
    for seed in range(setup.seeds):
        if setup.stage is not None:
            # Under ZeRO the baseline is stage 0: as many ranks and the same engine, and nothing is sharded.
            if setup.stage > 0:
                runs.append(_run(script, replace(setup, stage=0, offload=False), seed, leave_out=usual))
        elif script.name != "baseline.py":
            # The baseline has no adapters, and a learning rate of its own.
            baseline, foreign = script.with_name("baseline.py"), (*ADAPTER_OPTIONS, *OWN_OPTIONS, "lr")
            runs += [_run(baseline, replace(setup, precision=p), seed, leave_out=foreign) for p in precisions]
        for step in record.STEPS if steps and setup.step is None else (setup.step,):
            runs.append(_run(script, replace(setup, step=step), seed, leave_out=usual))
    return runs


def _run(script: Path, setup: Setup, seed: int, leave_out: Sequence[str]) -> Run:
    shown = setup.arguments(leave_out=("json", "out", "publish", *leave_out))
    command = shlex.join(["python", f"demos/{script.name}", *shown])
    name = script.stem if setup.step is None or "step" in leave_out else f"{script.stem} {setup.step}"
    if setup.stage is not None:
        name = f"{script.stem} stage {setup.stage}"
    steps = setup.warmup + setup.steps + 4  # both evaluations and the ledger's step are about four more
    tokens = steps * setup.batch * setup.seq * (setup.ranks or 1)
    return Run(script, name, setup.arguments(leave_out=("json", *leave_out)), Job(seed, command), tokens)


def _run_all(runs: list[Run], setup: Setup, home: Path) -> list[record.Record]:
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

    def run_one(run: Run) -> list[record.Record]:
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
        for path in [one.write(folder) for one in results]:
            progress.console.print(f"wrote {_short(path)}", highlight=False, markup=False, soft_wrap=True)
        return results

    with Progress(*columns, console=Console(stderr=True)) as progress, ThreadPoolExecutor(_CORES) as pool:
        every = pool.map(run_one, runs) if setup.predict else map(run_one, runs)
        return list(chain.from_iterable(every))


# ---- the child -------------------------------------------------------------------------------------------


def _child(technique: str, build: Build, setup: Setup, job: Job) -> None:
    """Measure once and report to the parent, which is the only one to read our standard output."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")

    def tell(**message: Any) -> None:
        channel.write(json.dumps(message) + "\n")
        channel.flush()

    if setup.predict:
        _child_that_predicts(technique, build, setup, job, tell)
        return
    if setup.ranks is not None:
        _child_of_ranks(technique, build, setup, job, tell)
        return
    os.dup2(2, 1)  # whatever a library prints belongs into the log
    tell(stage="load", done=0, of=1)
    try:
        from memlab import hardware, measure

        run = measure.Run(technique, setup, seed=job.seed, command=job.command)
    except UsageError as error:
        tell(refused=str(error))
        return
    tell(begun=run.to_record("failed", None).model_dump_json())

    def progress(stage: str, done: int, of: int) -> None:
        tell(stage=stage, done=done, of=of, reserved_bytes=hardware.reserved_bytes(run.lab.device))

    result = run.measure(build, progress)
    tell(record=result.model_dump_json())


def _child_that_predicts(
    technique: str, build: Build, setup: Setup, job: Job, tell: Callable[..., None]
) -> None:
    """Predict and report to the parent; where ranks share the work, what each of them holds as well."""
    os.dup2(2, 1)
    tell(stage="predict", done=0, of=1)
    try:
        from memlab import predict

        results = predict.predict_all(technique, setup, build=build, seed=job.seed, command=job.command)
    except UsageError as error:
        tell(refused=str(error))
        return
    first, *parts = (one.model_dump_json() for one in results)
    tell(record=first, parts=parts)


def _child_of_ranks(technique: str, build: Build, setup: Setup, job: Job, tell: Callable[..., None]) -> None:
    """Start the ranks, or measure as one of them: rank 0 reports the progress, the child the results."""
    if not ranks.is_one():
        try:
            tell(**ranks.start(setup))
        except UsageError as error:
            tell(refused=str(error))
        return
    os.dup2(2, 1)
    ranks.join()
    first = ranks.index() == 0
    if first:
        tell(stage="load", done=0, of=1)
    try:
        from memlab import sharded

        run = sharded.ShardedRun(technique, setup, seed=job.seed, command=job.command)
    except UsageError as error:
        tell(refused=str(error))
        return
    if first:
        tell(begun=ranks.of_all([run.to_record("failed", None)]).model_dump_json())

    def progress(stage: str, done: int, of: int) -> None:
        if first:
            tell(stage=stage, done=done, of=of)

    ranks.hand_in(run.measure(build, progress))
