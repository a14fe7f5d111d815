"""Measure what a learner waits for, and the memory that it takes: python -m memlab.sweeps.costs

Starts each demo as a learner does, first with --quick and then with its defaults, and writes the seconds from
start to end and the largest process to demos/results/costs/<NAME>.json, from where --help and the pages have
them. Nothing else should run meanwhile. To stand for a CPU without bf16 units on one that has them:

    ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 python -m memlab.sweeps.costs --name avx2 --machine "..."
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time

from memlab.results import provenance
from memlab.results.costs import FOLDER, WORKS, Cost, Costs
from memlab.results.files import HOME
from memlab.results.record import Record
from memlab.results.techniques import TECHNIQUES


def main() -> None:
    """Measure and write, after each demo, so that a stop loses one. Leaves with 1 when a demo failed."""
    parser = argparse.ArgumentParser(
        prog="python -m memlab.sweeps.costs",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--name", required=True, metavar="NAME", help="of the file")
    parser.add_argument("--machine", required=True, metavar="WORDS", help="the machine in words")
    parser.add_argument("--works", nargs="+", default=list(WORKS), choices=list(WORKS), metavar="WORK")
    parser.add_argument(
        "--techniques", nargs="+", default=list(TECHNIQUES), choices=TECHNIQUES, metavar="NAME"
    )
    options = parser.parse_args()
    path = HOME / "results" / FOLDER / f"{options.name}.json"
    rows = Costs.model_validate_json(path.read_bytes()).rows if path.exists() else []
    for work in options.works:
        for technique in options.techniques:
            cost, record = _measure(technique, work)
            rows = [row for row in rows if (row.technique, row.work) != (technique, work)] + [cost]
            Costs(
                machine=options.machine,
                device=record.device,
                cores=os.cpu_count() or 1,
                origin=provenance.of_run(shlex.join(["python", "-m", "memlab.sweeps.costs", *sys.argv[1:]])),
                rows=rows,
            ).write(path)
            print(
                f"{technique} {work}: {cost.seconds:.0f} s, {cost.process_bytes / 2**30:.1f} GiB", flush=True
            )


def _measure(technique: str, work: str) -> tuple[Cost, Record]:
    """Run one command to its end; return its cost and the record of its last run."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(HOME / f"{technique}.py"), *WORKS[work], "--json", "--out", folder]
        start = time.monotonic()
        done = subprocess.run(command, stdout=subprocess.PIPE, check=False)  # noqa: S603
        seconds = time.monotonic() - start
    if done.returncode:
        raise SystemExit(f"{technique}.py {work}: ended with status {done.returncode}")
    records = [Record.model_validate(fields, strict=False) for fields in json.loads(done.stdout)]
    largest = max(record.memory.process_bytes or 0 for record in records)
    cost = Cost(technique=technique, work=work, seconds=round(seconds, 1), process_bytes=largest)
    return cost, records[-1]


if __name__ == "__main__":
    main()
