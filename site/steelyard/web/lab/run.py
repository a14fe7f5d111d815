"""One run of a demo: its process, and the events that it prints (`memlab.running.events` describes them)."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread, Timer
from typing import IO, Any

from memlab.results.record import Record, read
from memlab.results.stages import STAGES

GRACE_SECONDS = 3.0
"""How long a run that was told to end may take before it is killed."""

ENDED = ("done", "failed", "refused", "cancelled")
SECRETS = "STEELYARD_"
"""The site's settings begin like this; a demo has no use for them."""

_log = logging.getLogger(__name__)


@dataclass
class RunPart:
    """One of the runs that a demo consists of: a technique with a seed."""

    name: str
    state: str = "waiting"
    """`waiting`, then `starting`, a stage of `memlab.running.events`, and at last the record's status."""
    done: int = 0
    of: int = 1
    message: str | None = None
    measure: str = "resident"
    points: list[tuple[float, int]] = field(default_factory=list)
    """Seconds since the part began, and bytes."""
    began: float | None = None
    begun: dict[str, Any] | None = None
    ended: bool = False

    @property
    def now(self) -> int | None:
        return self.points[-1][1] if self.points else None

    @property
    def most(self) -> int | None:
        return max((nbytes for _, nbytes in self.points), default=None)


@dataclass
class DemoRun:
    """A demo that was asked for. Its fields change under the lock of the queue."""

    number: int
    script: Path
    arguments: list[str]
    out: Path
    state: str = "queued"
    """`queued`, `running`, or one of `ENDED`."""
    message: str | None = None
    parts: list[RunPart] = field(default_factory=list)
    records: dict[str, Record] = field(default_factory=dict)
    """What it wrote, by the name of the file."""
    version: int = 0
    """Goes up with every change."""
    _process: subprocess.Popen[str] | None = None
    _cancelled: bool = False
    _timer: Timer | None = None

    @property
    def technique(self) -> str:
        return self.script.stem

    @property
    def predicts(self) -> bool:
        """Whether nothing is trained, and the planner's page asked for it."""
        return "--predict" in self.arguments

    @property
    def command(self) -> str:
        return " ".join(["python", f"demos/{self.script.name}", *self.arguments])

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def pid(self) -> int | None:
        """The demo's process and the number of its group, while it runs."""
        return self._process.pid if self._process else None

    def cancel(self) -> None:
        """End the run, waiting or under way; one that has ended stays as it is."""
        if self.state == "queued":
            self.state = "cancelled"
        elif self.state == "running":
            self._cancelled = True
            if self._process is not None:
                _signal(self._process.pid, signal.SIGTERM)
                # A timer, since the thread that runs this waits for what the demo says.
                self._timer = Timer(GRACE_SECONDS, _signal, (self._process.pid, signal.SIGKILL))
                self._timer.daemon = True
                self._timer.start()

    def execute(self, change: Callable[..., None]) -> None:
        """Run the demo to its end, in a process group of its own.

        `change` calls the method that it is given, with what follows, under the lock.
        """
        try:
            with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
                self._follow(log, change)
        except Exception as error:
            _log.exception("the run of %s could not be followed", self.script.name)
            reason = f"{type(error).__name__}: {error}"[:300]
            change(self._end, "failed", reason)

    def _follow(self, log: IO[str], change: Callable[..., None]) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(SECRETS)}
        if self.predicts:
            environment["HF_HUB_OFFLINE"] = "1"  # whatever a pasted configuration names stays there
        with subprocess.Popen(  # noqa: S603 (words that `options.arguments` has checked, and no shell)
            [sys.executable, str(self.script), *self.arguments, "--out", str(self.out)],
            env=environment | {"MEMLAB_EVENTS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        ) as process:
            try:
                change(self._started, process)
                # What outlives the demo may hold its standard output open, so it is ended from beside.
                beside = Thread(target=_end_group, args=(process,), daemon=True)
                beside.start()
                assert process.stdout is not None
                for line in process.stdout:
                    change(self._hear, json.loads(line))
                beside.join()
            finally:
                if process.poll() is None:
                    _signal(process.pid, signal.SIGKILL)
        log.seek(0)
        said = log.read()
        change(self._conclude, process.returncode, said)

    def _started(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        if self._cancelled:  # before there was a process to tell
            _signal(process.pid, signal.SIGKILL)

    def _hear(self, event: dict[str, Any]) -> None:
        if "plan" in event:
            self.parts = [RunPart(name) for name in event["plan"]]
            return
        part = self.parts[event["run"]]
        if part.began is None:
            part.began, part.state = time.monotonic(), "starting"
        if "begun" in event:
            part.begun = event["begun"]
        for name in ("resident", "reserved"):
            if f"{name}_bytes" in event:
                part.measure = name
                part.points.append((round(time.monotonic() - part.began, 2), event[f"{name}_bytes"]))
        if "stage" in event:
            part.state, part.done, part.of = event["stage"], event["done"], event["of"]
        if "status" in event:
            part.state, part.message, part.ended = event["status"], event["message"], True
            for path in map(Path, event["wrote"]):
                self.records[path.stem] = read(path)

    def _conclude(self, code: int, said: str) -> None:
        """Set the run's final state, and write the failure record that the demo could not write itself."""
        last = (said.strip().splitlines() or [""])[-1][:500]
        open_parts = [part for part in self.parts if part.began is not None and not part.ended]
        if self._cancelled or code == 2:
            state, message = ("cancelled", None) if self._cancelled else ("refused", last)
            for part in open_parts:
                part.state, part.ended = state, True
            self._end(state, message)
        elif open_parts or code not in (0, 1):
            how = f"killed by signal {-code}" if code < 0 else f"ended with status {code}"
            for part in open_parts:
                self._write_failure(part, how)
            self._end("failed", f"{how}: {last}" if last and code > 0 else how)
        else:
            failed = next((part for part in self.parts if part.state == "failed"), None)
            if failed is None and code == 1:
                self._end("failed", last)
            else:
                self._end("failed" if failed else "done", failed.message if failed else None)
        if self.state == "failed" and said.strip():
            _log.error("%s failed; the last that it said:\n%s", self.command, said[-4000:])

    def _write_failure(self, part: RunPart, how: str) -> None:
        message = f"{how}, while {STAGES.get(part.state, part.state)}"
        part.state, part.message, part.ended = "failed", message, True
        if part.begun is not None:
            fields = part.begun | {"status": "failed", "message": message}
            record = Record.model_validate_json(json.dumps(fields))
            self.records[record.write(self.out).stem] = record

    def _end(self, state: str, message: str | None) -> None:
        self.state, self.message, self._process = state, message, None
        if self._timer is not None:
            self._timer.cancel()


def _end_group(process: subprocess.Popen[str]) -> None:
    """Wait for a run's first process; kill what is left of its group after GRACE_SECONDS."""
    process.wait()
    nothing, waited = Event(), 0.0
    while waited < GRACE_SECONDS and _signal(process.pid, 0):
        nothing.wait(0.05)
        waited += 0.05
    _signal(process.pid, signal.SIGKILL)


def _signal(group: int, number: int) -> bool:
    """Send a signal to a process group; return whether the group exists."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True
