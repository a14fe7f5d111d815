"""Run a demo: a process of its own for every run, progress on stderr, the result on stdout.

The process that the user starts reads the command line and never loads torch. It starts itself (and
`baseline.py` before itself) once per technique and seed; `memlab.running.process` says how. A program that
starts a demo follows it by `memlab.running.events`.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from pathlib import Path

from memlab.options.command_line import parse, refuse
from memlab.options.demo import Demo
from memlab.options.setup import UsageError, folder_for
from memlab.running import child, parent
from memlab.running.events import EVENTS, run_all
from memlab.running.plan import plan
from memlab.running.process import JOB, Job


def main(demo: Demo, about: str | None) -> None:
    """Run the demo as the command line says; `about` is the script's docstring.

    Leaves with status 2 on bad input, 1 when a run failed, 130 on Ctrl-C. Running out of memory is a result.
    """
    script = Path(sys.argv[0]).resolve()
    try:
        setup, theirs = parse(sys.argv[1:], demo, about or "", home=script.parent)
        if JOB in os.environ:
            child.run(demo, setup, Job(**json.loads(os.environ[JOB])))
            return
        if multiprocessing.parent_process() is not None:
            return  # a run imports the script of its parent first, and this one is without the usual guard
        runs = plan(demo, script, setup, theirs)
        if EVENTS in os.environ:
            records = run_all(runs, folder_for(setup, script.parent))
        else:
            records = parent.run(runs, setup, theirs, home=script.parent)
    except UsageError as error:
        refuse(script.name, error)
    except KeyboardInterrupt:
        sys.stderr.write(f"{script.name}: stopped\n")
        raise SystemExit(130) from None
    if any(record.status == "failed" for record in records):
        raise SystemExit(1)
