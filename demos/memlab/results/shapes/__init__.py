"""Configurations of public models that come with the lab; README.md says where each is from. No torch."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Return the names of all shapes."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def path(name: str) -> Path | None:
    """Return the configuration that comes with the lab under this name, or None."""
    found = FOLDER / f"{name}.json"
    return found if re.fullmatch(r"[\w.-]+", name) and found.is_file() else None
