"""No file breaks the bank: whatever a keyboard, an editor or a disk does to one, it parses or gets problems."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("mutants.py")
EACH = 50_000


def test_a_hundred_thousand_mutated_files_parse_or_get_problems_inside_the_file(capsys):
    # Two processes halve the time; fixed seeds make every run the same.
    tries = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), str(seed), str(EACH)], stdout=subprocess.PIPE, text=True
        )
        for seed in (1, 2)
    ]
    results = [json.loads(process.communicate()[0]) for process in tries]
    good, bad = sum(result[0] for result in results), sum(result[1] for result in results)
    wrong = [complaint for result in results for complaint in result[2]]
    with capsys.disabled():
        print(f"\n{good + bad} mutated files: {good} parsed, {bad} got problems, {len(wrong)} complaints")

    assert wrong[:5] == []
    assert good + bad == 2 * EACH
    assert good > EACH / 10 and bad > EACH / 10
