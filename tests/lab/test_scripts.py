"""The demo scripts as texts: short, opened by their command, and marked where they leave the baseline."""

from __future__ import annotations

import ast
import difflib
import inspect

import pytest

DEMOS = ("baseline", "lora", "qlora", "gradient_checkpointing", "pissa", "dora", "stack", "zero")


@pytest.mark.parametrize("name", [name for name in DEMOS if name not in ("baseline", "stack")])
def test_lines_that_differ_from_the_baseline_are_marked_new(demo, name):
    """Whoever reads a demo sees at a glance what the technique is."""
    baseline, other = (inspect.getsource(demo(n).build).splitlines() for n in ("baseline", name))
    added = [line[2:] for line in difflib.ndiff(baseline, other) if line.startswith("+ ")]
    assert [line for line in added if line.strip() and "NEW" not in line] == []
    kept = [line[2:] for line in difflib.ndiff(baseline, other) if line.startswith("  ")]
    assert [line for line in kept if "NEW" in line] == []


@pytest.mark.parametrize("name", DEMOS)
def test_a_demo_is_short_and_opens_with_its_command(demo, name):
    """A hundred lines at most, and the first thing to read is what to type."""
    source = inspect.getsource(demo(name))
    assert len(source.splitlines()) <= 100
    assert ast.get_docstring(ast.parse(source)).startswith(f"Run it: python demos/{name}.py\n")
