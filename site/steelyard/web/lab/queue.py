"""The queue: demos run one at a time, in a thread of this process, and pages follow their progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from threading import Condition, Thread
from typing import Self

from steelyard.web.lab.guard import Guard
from steelyard.web.lab.run import DemoRun

WAITING = 8
"""How many demos may wait at once."""

KEPT = 50
"""How many runs are remembered; of older ones only the records are left."""

HEARTBEAT_SECONDS = 10.0
"""How often a stream says that it is still there, so that one whose reader has gone is noticed."""


class FullError(Exception):
    """The queue takes no more."""


class Lab:
    """Runs the demos of a folder one at a time and writes their records into another. Thread-safe.

    It works until `close`, which ends the run under way.
    """

    def __init__(self, demos: Path, out: Path) -> None:
        self.demos = demos
        self.out = out
        self.guard = Guard()
        self._changed = Condition()
        self._runs: dict[int, DemoRun] = {}
        self._count = 0
        self._closed = False
        self._thread = Thread(target=self._work, name="lab", daemon=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(self, script: Path, arguments: Sequence[str]) -> DemoRun:
        """Put a demo into the queue. Raises FullError."""
        with self._changed:
            if self._closed or len(self._waiting()) >= WAITING:
                raise FullError
            if self._count == 0:
                self._thread.start()
            self._count += 1
            run = self._runs[self._count] = DemoRun(self._count, script, list(arguments), self.out)
            for number in [number for number, old in self._runs.items() if old.ended][:-KEPT]:
                del self._runs[number]
            self._changed.notify_all()
            return run

    def run(self, number: int) -> DemoRun | None:
        """Return a run by its number, if it is remembered."""
        return self._runs.get(number)

    def latest(self, technique: str) -> DemoRun | None:
        """Return the run of a technique that was asked for last; predictions have a page of their own."""
        with self._changed:
            runs = [run for run in self._runs.values() if run.technique == technique and not run.predicts]
        return runs[-1] if runs else None

    def predictions(self) -> list[DemoRun]:
        """Return the predictions that are remembered, the latest first."""
        with self._changed:
            return [run for run in reversed(self._runs.values()) if run.predicts]

    def before(self, run: DemoRun) -> int:
        """Return how many runs come before one that waits, the one under way included."""
        with self._changed:
            others = [other for other in self._runs.values() if not other.ended]
        return sum(other.number < run.number for other in others)

    def cancel(self, run: DemoRun) -> None:
        """End a run, waiting or under way."""
        self._change(run, run.cancel)

    def follow(self, run: DemoRun) -> Iterator[bool]:
        """Yield True at once and whenever a run has changed, and False when it has not for a while.

        Ends after the run's end, and when the lab is closed.
        """
        seen, over = -1, False
        while not over:
            latest, over = self._news(run, seen)
            yield latest != seen
            seen = latest

    def _news(self, run: DemoRun, seen: int) -> tuple[int, bool]:
        """Wait for a run's next version or a heartbeat; return the version, and whether it is the last."""
        with self._changed:
            self._changed.wait_for(lambda: run.version != seen or self._closed, HEARTBEAT_SECONDS)
            return run.version, run.ended or self._closed

    def close(self) -> None:
        """End the run under way and those that wait. Does not return before the last process has ended."""
        with self._changed:
            self._closed = True
            for run in self._runs.values():
                run.cancel()
                run.version += 1
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def _waiting(self) -> list[DemoRun]:
        return [run for run in self._runs.values() if run.state == "queued"]

    def _change(self, run: DemoRun, change: Callable[..., None], *arguments: object) -> None:
        """Change a run, and wake whoever follows it."""
        with self._changed:
            change(*arguments)
            run.version += 1
            self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._waiting())
                if self._closed:
                    return
                run = self._waiting()[0]
                run.state = "running"
                for other in self._waiting():
                    other.version += 1  # it has moved up
                run.version += 1
                self._changed.notify_all()
            run.execute(partial(self._change, run))
