"""The table in the terminal can be read on a terminal of any usual width."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from memlab.publishing import terminal
from memlab.results.record import STEPS
from records import make_record


def shown(records, width: int) -> list[str]:
    text = io.StringIO()
    terminal.show(records, theirs=None, earlier=(), console=Console(file=text, width=width))
    return text.getvalue().splitlines()


def stack():
    return [make_record("baseline"), *(make_record("stack", precision="bf16", step=step) for step in STEPS)]


@pytest.mark.parametrize("width", [80, 100, 250])
def test_many_columns_go_into_as_many_tables_as_the_width_asks_for(width):
    lines = shown(stack(), width)
    tables = [lines[at - 1].strip() for at, line in enumerate(lines) if line.strip().startswith("──")]
    heads = "  ".join(tables).split("  ")

    assert [head.strip() for head in heads if head.strip()] == ["baseline", *(f"+ {step}" for step in STEPS)]
    assert len(tables) == {80: 2, 100: 2, 250: 1}[width]
    assert "…" not in "".join(lines)
    assert sum(line.strip().startswith("peak memory") for line in lines) == len(tables)


def test_two_columns_are_compared_and_more_are_not():
    two, all_of_them = ("\n".join(shown(records, 250)) for records in (stack()[:2], stack()))

    assert "change" in two
    assert "change" not in all_of_them
