"""Collecting the problems of one file."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from traceback import extract_tb

from steelyard.problems import Problem


class Report:
    """The problems found so far in the file that is shown as `path`."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.problems: list[Problem] = []

    def __call__(self, line: int, column: int, code: str, message: str) -> None:
        self.problems.append(Problem(self.path, line, column, code, message))

    @property
    def has_errors(self) -> bool:
        return any(problem.is_error for problem in self.problems)


def failure(path: str, error: Exception) -> Problem:
    """Return what is raised while one file is read as a problem of that file, so that it stops no other."""
    last = extract_tb(error.__traceback__)[-1]
    where = f"{type(error).__name__} in {Path(last.filename).name}, line {last.lineno}"
    return Problem(path, 1, 1, "E060", f"this program failed at this file ({where}): please report it")


def quoted(text: object) -> str:
    """Return `text` in quotation marks, on one line and of bearable length."""
    line = " ".join(str(text).split())
    return f'"{line if len(line) <= 40 else line[:39] + "…"}"'


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """Return `; did you mean "…"?` when one of the known words is close, else nothing."""
    close = get_close_matches(str(word)[:60], list(known), 1)
    return f'; did you mean "{close[0]}"?' if close else ""


def span(letters: Iterable[str]) -> str:
    """Return letters as people write them: `A–F`, or `A, C` where some are missing between."""
    listed = sorted(letters)
    run = [chr(ord(listed[0]) + i) for i in range(len(listed))] if listed else []
    return f"{listed[0]}–{listed[-1]}" if len(listed) > 2 and listed == run else ", ".join(listed)
