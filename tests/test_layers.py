"""The floors hold: a room imports only from floors below it, and the site never loads torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = {"torch", "transformers", "peft", "bitsandbytes", "accelerate", "numpy", "matplotlib"}


def modules_after(statement: str) -> set[str]:
    """Return the names of all modules that a fresh interpreter holds after `statement`."""
    code = f"import sys; {statement}; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "module",
    [
        "steelyard.web",
        "steelyard.cli",
        "steelyard.evidence",
        "memlab.results.record",
        "memlab.results.comparing",
        "memlab.launch",
        "memlab.publishing.measured_tables",
    ],
)
def test_what_runs_on_a_server_without_a_gpu_never_loads_torch(module):
    loaded = modules_after(f"import {module}")

    assert module in loaded
    assert set() == loaded & HEAVY


@pytest.mark.parametrize(
    "module", ["steelyard.bank.load", "steelyard.checks", "steelyard.grading", "steelyard.evidence"]
)
def test_the_lower_floor_runs_without_flask(module):
    assert set() == modules_after(f"import {module}") & {"flask", "werkzeug", "sqlalchemy"}


def test_a_whole_application_is_made_and_asked_without_torch(tmp_path):
    statement = (
        "import os; os.environ['STEELYARD_DATA'] = " + repr(str(tmp_path)) + "; "
        "os.environ['STEELYARD_SECRET_KEY'] = 'a secret for tests only'; "
        "from steelyard.web import create_app; app = create_app(); "
        "assert app.test_client().get('/').status_code == 200"
    )

    assert set() == modules_after(statement) & HEAVY


def test_the_import_contracts_of_pyproject_hold():
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter], capture_output=True, text=True, cwd=ROOT)

    assert done.returncode == 0, done.stdout


def test_nobody_imports_a_demo_script():
    scripts = {path.stem for path in (ROOT / "demos").glob("*.py")}
    for path in (*(ROOT / "demos").rglob("*.py"), *(ROOT / "site").rglob("*.py")):
        for line in path.read_text(encoding="utf-8").splitlines():
            words = line.split()
            if words[:1] in (["import"], ["from"]):
                assert words[1].partition(".")[0] not in scripts, f"{path}: {line}"
