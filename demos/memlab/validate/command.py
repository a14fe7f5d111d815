"""Set predictions beside measurements, on configurations that nobody chose: python -m memlab.validate

Families × techniques × batch × length, in sizes drawn by a seeded generator. Each is measured for real with
random weights, counted by torch's profiler as well, which owes nothing to the ledger, and predicted; beside
it stands what the tools of today say. Another draw, which must hold the same bounds:

    make validate SEED=7
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import shlex
import sys
import time
from pathlib import Path

from memlab.publishing import accuracy_tables, readme
from memlab.results import accuracy, provenance
from memlab.results.accuracy import Row, Validation
from memlab.results.files import HOME, results_folder
from memlab.results.numbers import in_bytes
from memlab.training import library_logs
from memlab.validate import draw


def main() -> None:
    """Measure, predict and compare as the command line says.

    Leaves with status 0 when the bounds hold, 1 when they do not or a row has no figures, 130 on Ctrl-C.
    """
    parser = argparse.ArgumentParser(
        prog="python -m memlab.validate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--seed", type=_seed, default=0, metavar="N", help="of the draw, from 0 up (default: %(default)s)"
    )
    destination = parser.add_mutually_exclusive_group()
    destination.add_argument(
        "--out", type=Path, metavar="DIR", help="for the result (default: demos/out/validation)"
    )
    destination.add_argument(
        "--publish",
        action="store_true",
        help="write it to demos/results/validation/ instead, and bring the README's table up to date",
    )
    options = parser.parse_args()
    try:
        result = _validate(options.seed)
    except KeyboardInterrupt:
        sys.stderr.write("validate: stopped; nothing was written\n")
        raise SystemExit(130) from None
    name = results_folder(result.device, HOME).name
    if options.publish:
        result.write(HOME / "results" / accuracy.FOLDER / f"{name}.json")
        readme.regenerate(HOME)
    else:
        folder = options.out or HOME / "out" / accuracy.FOLDER
        result.write(folder / f"{name}-seed{options.seed}.json")
    _show(result)
    if missed := misses(result):
        sys.stderr.writelines(f"validate: {line}\n" for line in missed)
        raise SystemExit(1)


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 up")
    return int(text)


def misses(result: Validation) -> list[str]:
    """Return a line for each bound that is exceeded, and for each row that failed or was refused."""
    lines = [
        f"{row.name}, {row.family}: {row.status}: {row.message}" for row in result.rows if row.status != "ok"
    ]
    summary = accuracy.summary(result.rows)
    if summary is not None and summary.median > accuracy.MEDIAN:
        lines.append(f"the median error is {summary.median:.2%}, and {accuracy.MEDIAN:.0%} is the bound")
    if summary is not None and abs(summary.worst) > accuracy.WORST:
        lines.append(f"the worst error is {summary.worst:+.2%}, and {accuracy.WORST:.0%} is the bound")
    return lines


def _show(result: Validation) -> None:
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console()
    if not console.is_terminal:
        console.width = 140  # a log is as wide as the table
    console.print(Markdown(accuracy_tables.markdown(result)))


# ---- measuring -------------------------------------------------------------------------------------------


def _validate(seed: int) -> Validation:
    os.environ["KINETO_LOG_LEVEL"] = "6"  # above every level: the profiler logs a few lines each time
    import torch

    from memlab.measuring import hardware
    from memlab.validate.weigh import weigh

    torch.set_num_threads(1)  # more do not speed small models up, and some kernels hold a buffer for each
    library_logs.silence()
    configurations, start = draw.draw(seed), time.monotonic()
    rows = []
    for number, configuration in enumerate(configurations, 1):
        row = weigh(configuration)
        rows.append(row)
        print(f"{number:>3} of {len(configurations)}  {_line(row)}", flush=True)
    command = shlex.join(["python", "-m", "memlab.validate", "--seed", str(seed)])
    origin = provenance.of_run(command)
    versions = origin.versions | {"accelerate": importlib.metadata.version("accelerate")}
    return Validation(
        seed=seed,
        device=hardware.describe(torch.device("cpu")),
        seconds=round(time.monotonic() - start, 1),
        origin=origin.model_copy(update={"versions": versions}),
        rows=rows,
    )


def _line(row: Row) -> str:
    name = f"{row.name} {row.precision}, {row.family}, batch {row.batch} × {row.seq}"
    if row.status != "ok":
        return f"{name}: {row.status}: {row.message}"
    line = f"{name}: {in_bytes(row.measured_bytes)}, predicted {row.off_bytes:+,} B off the ledger"
    return line if row.profiler_bytes is None else f"{line}, {row.error():+.3%} off the profiler"
