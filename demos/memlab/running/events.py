"""Tell a program, not a person, how a demo gets on: JSON lines on standard output.

With MEMLAB_EVENTS set to anything, a demo writes no bars, table or picture, but one JSON object a line:

    {"plan": ["baseline, seed 0", "lora, seed 0"]}          first: the runs, in their order
    {"run": 0, "stage": "train", "done": 4, "of": 13}       what a run is doing (a key of `STAGES`)
    {"run": 0, "resident_bytes": 812646400}                 four times a second, of a run on a CPU
    {"run": 0, "reserved_bytes": 3221225472}                beside each stage of a run on a GPU
    {"run": 0, "begun": {…}}                                once: a record of what is known so far
    {"run": 0, "status": "ok", "message": null, "wrote": ["demos/out/….json"]}        last: how it ended

`resident_bytes` is what the operating system counts for the run's processes, libraries and all, and
`reserved_bytes` what PyTorch's allocator has taken from the GPU. Both can be had during the clean pass and
leave it alone. Neither is the peak that the demo measures: that comes from the record, at the end.

Whoever kills this process can write the record that `begun` holds, with a message of their own. When nobody
reads any more, the run under way is ended.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

from memlab.results import record
from memlab.running.process import PlannedRun, start

EVENTS = "MEMLAB_EVENTS"
"""The environment variable that makes a demo write these lines."""

SAMPLE_SECONDS = 0.25


def run_all(runs: Sequence[PlannedRun], folder: Path) -> list[record.Record]:
    """Run one after the other, writing each record into `folder` and each event to standard output."""
    tell = _Teller()
    tell(plan=[f"{run.name}, seed {run.job.seed}" for run in runs])
    records = []
    for number, run in enumerate(runs):
        with _sampled(number, tell) as seen:
            results = start(run, seen, fresh=True)  # the memory of no other process is counted
        written = [str(one.write(folder)) for one in results]
        tell(run=number, status=results[0].status, message=results[0].message, wrote=written)
        records += results
    return records


class _Teller:
    """Writes one line at a time, whoever asks."""

    def __init__(self) -> None:
        self._lock = Lock()

    def __call__(self, **event: Any) -> None:
        with self._lock:
            sys.stdout.write(json.dumps(event) + "\n")
            sys.stdout.flush()


class _Seen:
    """What a run's messages say, told again; its record so far once."""

    def __init__(self, number: int, tell: _Teller) -> None:
        self._number = number
        self._tell = tell
        self._begun = False
        self.on_gpu = False

    def __call__(self, heard: dict[str, Any]) -> None:
        if "begun" in heard and not self._begun:
            begun = json.loads(heard["begun"])
            self._begun, self.on_gpu = True, begun["device"]["kind"] == "cuda"
            self._tell(run=self._number, begun=begun)
        event = {name: heard[name] for name in ("stage", "done", "of")}
        if heard.get("reserved_bytes") is not None:
            event["reserved_bytes"] = heard["reserved_bytes"]
        self._tell(run=self._number, **event)


@contextmanager
def _sampled(number: int, tell: _Teller) -> Iterator[_Seen]:
    """Tell the resident bytes of this process's children, and theirs, while a run on a CPU is under way."""
    import psutil

    seen, over = _Seen(number, tell), Event()
    this = psutil.Process()

    def sample() -> None:
        while not over.wait(SAMPLE_SECONDS):
            try:
                resident = sum(map(_resident, this.children(recursive=True)))
                if resident and not seen.on_gpu:
                    tell(run=number, resident_bytes=resident)
            except OSError:  # nobody reads: the site that started us is gone
                os._exit(_end(this))

    thread = Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def _resident(process: Any) -> int:
    import psutil

    try:
        return int(process.memory_info().rss)
    except psutil.Error:  # it has ended since it was listed
        return 0


def _end(this: Any) -> int:
    """Kill the run under way and return the status to leave with."""
    import psutil

    for process in this.children(recursive=True):
        try:
            process.kill()
        except psutil.Error:
            continue
    return 1
