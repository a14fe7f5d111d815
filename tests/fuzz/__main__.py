"""make fuzz: new inputs every day, until one of them is answered as none may be.

    PYTHONPATH=tests:tests/support python -m fuzz [--seed 20270131] [--seconds 600] [--count 200000] [TARGET ...]

The seed is today's date, so that each day tries other inputs and a failure can be tried again. An input that failed
is written to a file, which is named with its seed and its number; the exit status is then 1. To add a target, write
a function of the kind `fuzz.trial.Target`, and name it in `TARGETS`.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path

from fuzz.configs import try_config
from fuzz.exchange_files import try_gift, try_moodle_xml, try_qti
from fuzz.folders import try_folder
from fuzz.forms import try_request
from fuzz.question_files import try_mutant
from fuzz.trial import Target, Trial, numbered

TARGETS: Mapping[str, Target] = {
    "bank": try_mutant,
    "folder": try_folder,
    "forms": try_request,
    "config": try_config,
    "gift": try_gift,
    "moodle-xml": try_moodle_xml,
    "qti": try_qti,
}
TOGETHER = 500
"""Inputs that a process tries before it answers."""
SHOWN = 5
HANGS_AFTER = 5
"""Seconds of the processor's time after which an input hangs; a usual one takes a millisecond."""
ENDS_AFTER = 30
"""Seconds after which an input that hangs in native code, where no signal is heard, ends its process."""

Summary = list[tuple[int, str, Trial | None]]
"""Number and outcome of some inputs; of one that failed the trial, too."""


def main(arguments: Sequence[str] | None = None, targets: Mapping[str, Target] = TARGETS) -> int:
    """Try the targets one after the other; return 1 when an input of one failed."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(targets)}; all of them")
    parser.add_argument("--seed", type=int, default=int(f"{datetime.now(UTC):%Y%m%d}"), help="today's date")
    parser.add_argument("--seconds", type=float, default=600, help="that a target may take (600)")
    parser.add_argument("--count", type=int, default=200_000, help="of inputs, at most (200000)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="at once; one a core")
    options = parser.parse_args(arguments)
    if unknown := set(options.targets) - set(targets):
        parser.error(f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(targets)}")
    failed = False
    for name in options.targets or targets:
        print(f"{name}: seed {options.seed}", flush=True)
        tried = _tried(name, targets[name], options)
        failed |= _report(name, options.seed, (each for some in tried for each in some))
    return int(failed)


def _report(name: str, seed: int, tried: Iterable[tuple[int, str, Trial | None]]) -> bool:
    """Print what came of a target's inputs, each failure with its file; return whether there was one."""
    outcomes: Counter[str] = Counter()
    failures = []
    for number, outcome, failure in tried:
        outcomes[outcome] += 1
        if failure:
            failures.append((number, failure))
    counted = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
    print(f"{name}: {outcomes.total()} inputs: {counted or 'none'}; {len(failures)} failed")
    for number, failure in failures[:SHOWN]:
        path = Path(tempfile.mkdtemp(prefix="fuzz-")) / f"{name}-{seed}-{number}"
        path.write_bytes(failure.data)
        print(f"{name}: seed {seed}, input {number}, {path}: {'; '.join(failure.complaints)}")
    return bool(failures)


def _tried(name: str, target: Target, options: argparse.Namespace) -> Iterator[Summary]:
    """Yield what came of some inputs at a time, until the time is over or all have been tried."""
    end = time.monotonic() + options.seconds
    some = partial(_some, name, target, options.seed)
    starts = range(0, options.count, TOGETHER)
    parts = (range(start, min(start + TOGETHER, options.count)) for start in starts)
    pool = ProcessPoolExecutor(options.processes)
    while time.monotonic() < end and (round_ := list(islice(parts, options.processes))):
        futures = [(numbers, pool.submit(some, numbers)) for numbers in round_]
        for numbers, future in futures:
            try:
                yield future.result()
            except BrokenProcessPool:
                yield list(_alone(some, numbers))
                pool = ProcessPoolExecutor(options.processes)
    pool.shutdown()


def _alone(some: Callable[[range], Summary], numbers: range) -> Iterator[tuple[int, str, Trial | None]]:
    """Yield what came of inputs of which one ended its process, each tried in a process of its own."""
    for number in numbers:
        with ProcessPoolExecutor(1) as pool:
            try:
                yield from pool.submit(some, range(number, number + 1)).result()
            except BrokenProcessPool:
                yield number, "ended its process", Trial(b"", "ended its process", ["it ended its process"])


def _some(name: str, target: Target, seed: int, numbers: range) -> Summary:
    summary: Summary = []
    signal.signal(signal.SIGPROF, _hangs)
    for number in numbers:
        signal.setitimer(signal.ITIMER_PROF, HANGS_AFTER)
        resource.setrlimit(
            resource.RLIMIT_CPU, (int(time.process_time()) + ENDS_AFTER, resource.RLIM_INFINITY)
        )
        trial = numbered(target, name, seed, number)
        summary.append((number, trial.outcome, trial if trial.complaints else None))
    signal.setitimer(signal.ITIMER_PROF, 0)
    return summary


def _hangs(number: int, frame: object) -> None:
    raise TimeoutError(f"it took more than {HANGS_AFTER} seconds of the processor's time")


if __name__ == "__main__":
    sys.exit(main())
