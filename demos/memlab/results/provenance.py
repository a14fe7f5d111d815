"""Where a record comes from: command, commit, versions. It imports no torch."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from datetime import UTC, datetime

from memlab.results import record
from memlab.results.files import HOME

_VERSIONS = ("torch", "transformers", "peft", "bitsandbytes", "deepspeed")


def of_run(command: str) -> record.Origin:
    """Return what it takes to run this again: command, commit, versions."""
    return record.Origin(
        command=command,
        commit=_commit(),
        versions=versions(),
        created=datetime.now(UTC),
    )


def versions() -> dict[str, str | None]:
    """Return the versions of what may change a figure; None for a package that is not installed."""
    return {name: _version(name) for name in _VERSIONS} | {"python": platform.python_version()}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Return this checkout's commit, marked when the lab's own code differs from it; None without git."""
    demos = HOME

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(demos), *arguments]
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)  # noqa: S603
        return answer.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", "*.py", "memlab")
        return git("rev-parse", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return None
