"""The floors hold: a room imports only from floors below it, and the site never loads torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
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


@pytest.mark.parametrize("package", ["site/steelyard", "demos/memlab"])
def test_no_module_imports_itself_in_a_circle(package):
    """Not even inside functions. A package's `__init__` counts as a module of its own."""
    modules = dict(_modules(ROOT / package))
    imports = {
        name: {target for target in _imports(path, name, modules) if target != name}
        for name, path in modules.items()
    }

    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])))


def _modules(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*.py")):
        parts = (folder.name, *path.relative_to(folder).with_suffix("").parts)
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def _imports(path: Path, name: str, modules: dict[str, Path]) -> Iterator[str]:
    """Yield the modules of the package that a file names in its import statements, wherever they stand.

    `from package import module` imports the module; `from package import name` imports the package's
    `__init__`.
    """
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module in modules:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in modules else node.module
