"""Run it: python -m memlab.plan --model llama-3.1-8b --gpu-memory 24GiB

What can be trained on a GPU of this size, and how? Every technique is predicted on the model, for each length
with the batches from the smallest up, until one does not fit. What fits is ranked by its cost: floating-point
operations for a token, counted as the step is predicted. That is a ratio, not a time: a GPU's kernels reach
different parts of its peak, and unpacking four bits or moving activations costs time and no such operation.
Among equal costs the larger batch comes first, as it keeps a GPU busier.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from memlab.options.command_line import check_model
from memlab.options.setup import Setup, UsageError
from memlab.plan.grid import BATCHES, LENGTHS, TECHNIQUE_SETUPS
from memlab.plan.search import FittingRun, search
from memlab.results import gpu_fit
from memlab.results.numbers import in_bytes
from memlab.results.techniques import ALL
from memlab.training import library_logs

COSTS = {technique.name: technique.cost for technique in ALL}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what fits. Leaves with status 1 when nothing does, 2 on bad input."""
    options = _parser().parse_args(arguments)
    try:
        setup = Setup(model=options.model, random_init=False, predict=True, for_="cuda")
        check_model(setup)
        gpu_bytes = gpu_fit.parse_size(options.gpu_memory)
        workers, spawn = min(os.cpu_count() or 1, len(TECHNIQUE_SETUPS)), multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, spawn, _prepare_worker) as pool:
            fitting, left_out = search(
                setup, gpu_bytes, options.batch, options.seq, map_=pool.map, on_predicted=_on_predicted
            )
    except (UsageError, ValueError) as error:
        sys.stderr.write(f"plan: {error}\n")
        raise SystemExit(2) from None
    except BrokenProcessPool:
        sys.stderr.write("plan: a process of its own was killed, most likely for lack of memory\n")
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        sys.stderr.write("plan: stopped\n")
        raise SystemExit(130) from None
    if options.json:
        print(json.dumps([_to_json(run) for run in fitting], indent=1))
    else:
        _show(fitting, left_out, options.model, options.gpu_memory)
    raise SystemExit(0 if fitting else 1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m memlab.plan",
        description=(__doc__ or "").partition("\n")[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", required=True, metavar="NAME", help="a shape, a config.json or a folder")
    parser.add_argument("--gpu-memory", required=True, metavar="SIZE", help="such as 24GiB")
    for name, default, meaning in (
        ("--batch", BATCHES, "sequences a step"),
        ("--seq", LENGTHS, "tokens a sequence"),
    ):
        text = f"{meaning} (default: {' '.join(map(str, default))})"
        parser.add_argument(name, nargs="+", type=_positive, default=default, metavar="N", help=text)
    parser.add_argument("--json", action="store_true", help="print what fits as JSON, not as a table")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 up")
    return int(text)


def _prepare_worker() -> None:
    """Silence the libraries in a process of the pool, and let Ctrl-C end it without a traceback."""
    library_logs.silence()
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _on_predicted(line: str) -> None:
    sys.stderr.write(f"predicted {line}\n")


def _to_json(run: FittingRun) -> dict[str, Any]:
    return {
        "technique": run.record.technique,
        "step": run.record.setup.step,
        "precision": run.record.setup.precision,
        "batch": run.record.setup.batch,
        "seq": run.record.setup.seq,
        "fit": asdict(run.fit) | {"margin_bytes": run.fit.margin_bytes},
        "flops_per_token": run.flops_per_token,
        "command": run.record.origin.command,
    }


def _show(fitting: Sequence[FittingRun], left_out: Sequence[str], model: str, gpu_memory: str) -> None:
    console = Console()
    for seq in dict.fromkeys(run.record.setup.seq for run in fitting):
        console.print(_table([run for run in fitting if run.record.setup.seq == seq], model, gpu_memory))
    for name in dict.fromkeys(run.record.technique for run in fitting):
        console.print(f"{name}: {COSTS[name]}.", highlight=False, soft_wrap=True)
    for line in left_out:
        console.print(f"Left out: {line}.", highlight=False, soft_wrap=True)
    console.print(
        "Cost: floating-point operations for a token, against the cheapest that fits; a ratio, not a time. "
        f"Taken: by the allocator, and {in_bytes(gpu_fit.OUTSIDE_BYTES)} outside it, a figure of "
        "documentation.",
        highlight=False,
        soft_wrap=True,
    )


def _table(fitting: Sequence[FittingRun], model: str, gpu_memory: str) -> Table:
    table = Table(
        title=f"{model} on {gpu_memory}: {fitting[0].record.setup.seq} tokens a sequence",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("", no_wrap=True)
    for head in ("batch", "taken", "left", "cost", "trained"):
        table.add_column(head, justify="right")
    cheapest = min(run.flops_per_token for run in fitting)
    for run in fitting:
        learning = run.record.learning
        table.add_row(
            run.name,
            str(run.record.setup.batch),
            in_bytes(run.fit.needed_bytes),
            in_bytes(run.fit.margin_bytes),
            f"×{run.flops_per_token / cheapest:.2f}",
            f"{learning.trainable_parameters / 1e6:,.1f} M" if learning else "–",
        )
    return table
