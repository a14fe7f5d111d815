"""Percentages as people type them."""

from __future__ import annotations

import re
import unicodedata

_NUMBER = re.compile(r"[-−+]?\d{1,4}([.,]\d{1,4})?\s*%?")


def parse_percent(text: str) -> float | None:
    """Return `40`, `40 %`, `-3,5` or `４０％` as a fraction; None for what is no number of at most 100."""
    plain = unicodedata.normalize("NFKC", text[:20]).strip()
    if not _NUMBER.fullmatch(plain):
        return None
    value = float(plain.rstrip("% ").replace("−", "-").replace(",", ".")) / 100
    return value if value <= 1 else None
