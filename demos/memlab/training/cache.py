"""Folders in the user's cache that are computed once per machine, with checksums that every use verifies."""

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
    """Return the lab's folder in the platform's cache folder of the user. It may not exist yet."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "steelyard"


def folder(name: str, fill: Callable[[Path], None]) -> Path:
    """Return the cached folder `name`; `fill` writes its files if it is missing, incomplete or damaged.

    `fill` gets an empty folder, and may write files there but no folders. Safe under concurrent processes:
    each fills a folder of its own, and the first to finish is kept. Raises OSError where the cache cannot be
    written.
    """
    target = root() / name
    if _is_intact(target):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".partial-") as partial:
        filled = Path(partial) / "filled"
        filled.mkdir()
        fill(filled)
        sums = [f"{sha256(path)}  {path.name}\n" for path in sorted(filled.iterdir())]
        (filled / _SUMS).write_text("".join(sums), encoding="utf-8")
        _install(filled, target)
    return target


def _install(filled: Path, target: Path) -> None:
    """Move `filled` to `target`, in place of nothing or of a damaged folder. An intact one is left alone."""
    try:
        filled.rename(target)
        return
    except OSError:
        if _is_intact(target):
            return
    # Concurrent processes may do the same: each deletes only the damaged folder that it has itself moved
    # aside.
    with suppress(FileNotFoundError):
        target.rename(filled.with_name("damaged"))
    try:
        filled.rename(target)
    except OSError:
        if not _is_intact(target):
            raise


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_intact(target: Path) -> bool:
    """Whether the folder has its list of checksums and every file in it matches."""
    try:
        lines = (target / _SUMS).read_text(encoding="utf-8").splitlines()
        return all(
            sha256(target / name) == checksum for checksum, name in (line.split("  ", 1) for line in lines)
        )
    except (OSError, ValueError):
        return False
