"""One run is one fresh process: start it, follow it, and make a record of whatever becomes of it.

The child runs the demo's own script with its job in an environment variable, and reports in JSON lines on its
standard output. What the libraries say goes to a log that is shown only when a run fails. This module loads
no torch.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memlab.options.setup import UsageError
from memlab.results import record
from memlab.results.stages import STAGES

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


def start(run: PlannedRun, on_progress: Callable[[dict[str, Any]], None]) -> list[record.Record]:
    """Run one child to its end and return its record, and those of its ranks after it.

    At each stage, `on_progress` is called with all that the child has said so far, the latest of each kind.
    Raises UsageError when the child refuses its input.
    """
    heard: dict[str, Any] = {}
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        with subprocess.Popen(  # noqa: S603
            [sys.executable, str(run.script), *run.arguments],
            env=os.environ | _QUIET | {JOB: json.dumps(vars(run.job))},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            encoding="utf-8",
        ) as child:
            assert child.stdout is not None
            try:
                for line in child.stdout:
                    message = json.loads(line)
                    heard |= message
                    if "stage" in message:
                        on_progress(heard)
            except BaseException:
                child.kill()
                raise
        log.seek(0)
        last_words = "".join(log.readlines()[-30:])
    if "refused" in heard:
        raise UsageError(heard["refused"])
    if "record" not in heard and "begun" not in heard:
        sys.stderr.write(last_words)
        raise SystemExit(f"{run.script.name}: could not start (status {child.returncode}); see above")
    result = _read(heard, heard.get("code", child.wait()))
    if result.status == "failed":
        sys.stderr.write(last_words)
    return [result, *map(record.Record.model_validate_json, heard.get("parts", ()))]


def _read(heard: dict[str, Any], code: int) -> record.Record:
    """Return the child's record, or make one for a child that the system killed or that crashed."""
    if "record" in heard:
        return record.Record.model_validate_json(heard["record"])
    killed = os.name == "posix" and code == -signal.SIGKILL
    reason = "killed, most likely for lack of memory" if killed else f"ended with status {code}"
    begun = json.loads(heard["begun"]) | {
        "status": "oom" if killed else "failed",
        "message": f"{heard.get('who', '')}{reason}, while {STAGES[heard['stage']]}",
    }
    return record.Record.model_validate_json(json.dumps(begun))


def outcome(result: record.Record) -> str:
    """Return in a word, or with its reason, how a run ended."""
    if result.status != "ok":
        return f"{result.status}: {result.message}"
    return "done"
