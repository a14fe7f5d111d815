"""What is worked out once per machine: files in the user's cache folder, checked before they are believed."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_SUMS = "SHA256SUMS"


def root() -> Path:
    """Return the lab's folder below the user's cache folder."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "steelyard"


def folder(name: str, fill: Callable[[Path], None]) -> Path:
    """Return the cached folder `name`; let `fill` make its files if it is missing, incomplete or damaged.

    Two processes may do so at once: each fills a folder of its own, and the first one to finish wins.
    """
    target = root() / name
    if _whole(target):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".partial-") as partial:
        made = Path(partial) / "made"
        made.mkdir()
        fill(made)
        sums = [f"{sha256(path)}  {path.name}\n" for path in sorted(made.iterdir())]
        (made / _SUMS).write_text("".join(sums), encoding="utf-8")
        _put(made, target)
    return target


def _put(made: Path, target: Path) -> None:
    """Move a folder to where nothing is, or something damaged. A whole one is left alone."""
    try:
        made.rename(target)
        return
    except OSError:
        if _whole(target):
            return
    # Others may do the same: whoever moves the damaged folder aside deletes what it has moved, and no more.
    with suppress(FileNotFoundError):
        target.rename(made.with_name("damaged"))
    try:
        made.rename(target)
    except OSError:
        if not _whole(target):
            raise


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _whole(target: Path) -> bool:
    try:
        lines = (target / _SUMS).read_text(encoding="utf-8").splitlines()
        return all(sha256(target / name) == sum_ for sum_, name in (line.split("  ", 1) for line in lines))
    except (OSError, ValueError):
        return False
