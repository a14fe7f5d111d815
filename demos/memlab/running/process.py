"""One run is one process: start it, follow it, and make a record of whatever becomes of it.

The process is a fresh one, or forked from one that has only imported (`warm`). It runs the demo's own script
with its job in an environment variable, and reports in JSON lines on its standard output. What the libraries
say goes to a log that is shown only when a run fails. This module loads no torch.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from memlab.options.setup import UsageError
from memlab.results import record
from memlab.results.stages import STAGES
from memlab.running import warm

JOB = "MEMLAB_JOB"
"""The environment variable that makes a script measure once, as it says, and report to its parent."""

_QUIET = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
}


@dataclass(frozen=True)
class Job:
    """What a child is told beyond its command line."""

    seed: int
    command: str


@dataclass(frozen=True)
class PlannedRun:
    """One technique, one setup, one seed."""

    script: Path
    name: str
    arguments: list[str]
    job: Job
    work: Mapping[str, float]
    """The work of each stage in forward passes of a token: a measure of the time that it takes."""

    @property
    def total_work(self) -> float:
        """The work of all stages, the evaluation before training and the one after it."""
        return sum(self.work.values()) + self.work.get("evaluate", 0)


def start(
    run: PlannedRun, on_progress: Callable[[dict[str, Any]], None], *, fresh: bool = False
) -> list[record.Record]:
    """Run one child to its end and return its record, and those of its ranks after it.

    At each stage, `on_progress` is called with all that the child has said so far, the latest of each kind.
    A `fresh` child imports its libraries itself, where it could do without. Raises UsageError when the
    child refuses its input.
    """
    messages: dict[str, Any] = {}
    with tempfile.NamedTemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        warmed = not fresh and "--ranks" not in run.arguments and warm.is_possible()
        with (_forked if warmed else _fresh)(run, log) as child:
            for line in child.lines:
                message = json.loads(line)
                messages |= message
                if "stage" in message:
                    on_progress(messages)
        log.seek(0)
        last_words = "".join(log.readlines()[-30:])
    if "refused" in messages:
        raise UsageError(messages["refused"])
    if "record" not in messages and "begun" not in messages:
        sys.stderr.write(last_words)
        raise SystemExit(f"{run.script.name}: could not start (status {child.status}); see above")
    result = _read(messages, messages.get("code", child.status))
    if result.status == "failed":
        sys.stderr.write(last_words)
    return [result, *map(record.Record.model_validate_json, messages.get("parts", ()))]


@dataclass
class _Child:
    """A run's process: the lines that it writes and, once there are no more, its exit status."""

    lines: Iterable[str]
    status: int | None = None


@contextmanager
def _fresh(run: PlannedRun, log: IO[str]) -> Iterator[_Child]:
    """Start a process that knows nothing; it is killed when the block is left early."""
    with subprocess.Popen(  # noqa: S603
        [sys.executable, str(run.script), *run.arguments],
        env=os.environ | _environment(run),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        encoding="utf-8",
    ) as process:
        assert process.stdout is not None
        child = _Child(process.stdout)
        try:
            yield child
        except BaseException:
            process.kill()
            raise
        child.status = process.wait()


@contextmanager
def _forked(run: PlannedRun, log: IO[str]) -> Iterator[_Child]:
    """Start a process whose imports are done already; it is killed when the block is left early."""
    process, reader = warm.start(run.script, run.arguments, _environment(run), Path(log.name))
    with reader, os.fdopen(os.dup(reader.fileno()), encoding="utf-8") as lines:
        child = _Child(lines)
        try:
            yield child
        except BaseException:
            process.kill()
            raise
        finally:
            process.join()
        child.status = process.exitcode


def _environment(run: PlannedRun) -> dict[str, str]:
    return _QUIET | {JOB: json.dumps(vars(run.job))}


def _read(messages: dict[str, Any], code: int | None) -> record.Record:
    """Return the child's record, or make one for a child that the system killed or that crashed."""
    if "record" in messages:
        return record.Record.model_validate_json(messages["record"])
    killed = os.name == "posix" and code == -signal.SIGKILL
    reason = "killed, most likely for lack of memory" if killed else f"ended with status {code}"
    begun = json.loads(messages["begun"]) | {
        "status": "oom" if killed else "failed",
        "message": f"{messages.get('who', '')}{reason}, while {STAGES[messages['stage']]}",
    }
    return record.Record.model_validate_json(json.dumps(begun))


def outcome(result: record.Record) -> str:
    """Return in a word, or with its reason, how a run ended."""
    if result.status != "ok":
        return f"{result.status}: {result.message}"
    return "done"
