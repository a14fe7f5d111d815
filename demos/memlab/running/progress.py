"""How far a run is and how long it has left: a bar in a terminal, a line every few seconds in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

from memlab.results.numbers import duration
from memlab.results.stages import STAGES
from memlab.running.process import PlannedRun

LINE_SECONDS = 5
"""Between two lines in a log, at most, while a run is under way."""


class RunProgress:
    """What one run is doing, by its messages, and how much of its work is done (`PlannedRun.work`)."""

    def __init__(self, run: PlannedRun) -> None:
        self._run = run
        self._began = time.monotonic()
        self._stage: str | None = None
        self._finished = 0.0
        self._of_stage = 0.0
        self.description = "starting"

    def update(self, message: dict[str, Any]) -> None:
        """Take note of a message that names a stage, how much of it is done, and of how much."""
        stage, done, of = message["stage"], message["done"], message["of"]
        if stage != self._stage:
            self._finished += self._run.work.get(self._stage or "", 0)
            self._stage = stage
        self._of_stage = self._run.work.get(stage, 0) * done / of
        count = f", {done + 1} of {of}" if of > 1 else ""
        self.description = STAGES[stage] + count

    @property
    def done(self) -> float:
        """How much of the run's work is done, in its own units."""
        return self._finished + self._of_stage

    @property
    def seconds(self) -> float:
        """How long the run has taken."""
        return time.monotonic() - self._began

    def line(self) -> str:
        """Return the state in one line: what is done, for how long, and how long it will take."""
        line = f"{self._run.name}, seed {self._run.job.seed}: {self.description}; {duration(self.seconds)}"
        total = self._run.total_work
        if not 0 < self.done < total:
            return line
        return f"{line}, about {duration(self.seconds * (total / self.done - 1))} left"


@contextmanager
def lines_in_a_log(line: Callable[[], str]) -> Iterator[None]:
    """Write `line()` to standard error every few seconds, unless that is a terminal, which shows bars."""
    over = Event()

    def write() -> None:
        while not over.wait(LINE_SECONDS):
            sys.stderr.write(line() + "\n")
            sys.stderr.flush()

    thread = Thread(target=write, daemon=True)
    if not sys.stderr.isatty():
        thread.start()
    try:
        yield
    finally:
        over.set()
        if thread.is_alive():
            thread.join()
