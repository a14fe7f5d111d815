"""make bench: every benchmark in a process of its own, one after the other, so that none disturbs another."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SCRIPTS = ("pages.py", "visit.py", "plan.py", "check.py", "ledger.py", "bf16.py", "predict.py")


def main() -> int:
    """Run the benchmarks and return 1 when one of them failed."""
    failed = False
    for script in SCRIPTS:
        print(f"\n==== {script} ====", flush=True)
        failed |= subprocess.run([sys.executable, str(HERE / script)]).returncode != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
