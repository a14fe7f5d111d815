"""CSV that a spreadsheet opens as a table and runs nothing of, whatever a pseudonym or a file name holds."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from io import StringIO

Cell = str | float | None

_FORMULA = re.compile(r"""(^\s*|[;,|\t\r\n"；，｜]\s*)(?=[=+\-@＝＋－＠﹢﹣﹦﹫])""")
"""Where a spreadsheet may take what follows for a formula: at the beginning of a cell, or after what another
spreadsheet takes for the end of one; blanks may be trimmed, and full-width signs count like plain ones."""


def to_csv(rows: Iterable[Sequence[Cell]]) -> str:
    """Return rows as CSV; texts are quoted and made harmless, numbers stay numbers, None is empty."""
    out = StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    for row in rows:
        writer.writerow([safe(cell) if isinstance(cell, str) else cell for cell in row])
    return out.getvalue()


def safe(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula: an apostrophe stands before each that begins.

    What begins with a control character gets one as well, since some spreadsheets drop that character.
    """
    if text[:1] in ("\t", "\r", "\n"):
        text = f"'{text}"
    return _FORMULA.sub(r"\1'", text)
