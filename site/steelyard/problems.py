"""Problems of files that are read: questions and records."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Problem:
    """A problem of a file, worded for the person who has to fix it."""

    path: str
    line: int
    column: int
    code: str
    """`E…` is an error, `W…` a warning; the codes are listed in `steelyard.bank.codes.CODES`."""
    message: str

    @property
    def is_error(self) -> bool:
        return self.code.startswith("E")

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column} {self.code} {self.message}"
