"""How soon the planner's page answers for every choice of the grid, and what the grid costs at the start.

    python tests/bench/plan.py

Each choice is asked once, when nothing of its answer is kept yet, on a GPU of 24 GB, the first of them as the first request
to a site that was started as a server starts it. Aim: under 50 ms at worst, without torch. The start is the reading of all
records, with the grid of predictions and without.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

from steelyard import evidence
from steelyard.settings import Settings
from steelyard.web.planner.grid import model_grids
from steelyard.web.start import ready_app

AIM_SECONDS = 0.05


def reading(results: Path) -> float:
    """Return how long it takes to read all records: the median of five times."""
    return statistics.median(seconds(lambda: evidence.load(results)) for _ in range(5))


def seconds(work: object) -> float:
    begin = time.perf_counter()
    work()  # type: ignore[operator]
    return time.perf_counter() - begin


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="steelyard-bench-"))
    try:
        settings = replace(
            Settings.from_environment({"STEELYARD_DATA": str(folder)}),
            secret_key="a secret for the benchmark",
            trusted_hosts=("localhost",),
        )
        app = ready_app(settings)
        client = app.test_client()
        grid = model_grids(app.extensions["steelyard"].records)
        choices = [
            urlencode({"model": shape.name, "technique": arm, **load._asdict(), "gpu": "24"})
            for shape in grid
            for arm, load in shape.cells
        ]
        took = [seconds(lambda choice=choice: client.get(f"/plan?{choice}")) for choice in choices]
        plain = folder / "results"
        shutil.copytree(settings.results, plain, ignore=shutil.ignore_patterns("predictions", "validation"))
        with_grid, without = reading(settings.results), reading(plain)
    finally:
        shutil.rmtree(folder)
    print(
        f"/plan              {statistics.median(took) * 1e3:8.1f} ms in the median of {len(took)} choices, "
        f"{max(took) * 1e3:.1f} ms at worst, {took[0] * 1e3:.1f} ms the first (aim < {AIM_SECONDS * 1e3:.0f} ms)"
    )
    print(f"reading records    {with_grid * 1e3:8.1f} ms with the grid, {without * 1e3:.1f} ms without")
    return int("torch" in sys.modules)


if __name__ == "__main__":
    sys.exit(main())
