"""`steelyard check`: every problem of question files, each at its line."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import click

from steelyard import evidence
from steelyard.bank.load import load
from steelyard.bank.model import Bank
from steelyard.checks import check as check_bank
from steelyard.cli.words import printable, settings
from steelyard.problems import Problem


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the problems as a JSON list.")
def check(paths: Sequence[Path], as_json: bool) -> None:
    """Print every problem of question files, each at its line.

    PATH is a folder of questions or a single file; without one, the project's questions and its published
    records are checked. The exit status is 1 when there is an error, 0 when there are at most warnings, and 2
    when a PATH cannot be checked.
    """
    chosen = settings()
    for path in paths:
        if not (path.is_dir() or path.is_file()):
            what = "is neither a file nor a folder" if path.exists() else "does not exist"
            raise click.UsageError(printable(f"{path} {what}"))
    banks = _banks(paths or [_from_here(chosen.questions)])
    records = evidence.load(chosen.results)
    problems = sorted({problem for bank in banks for problem in check_bank(bank, records)})
    if not paths:
        folder = _from_here(chosen.results).as_posix()
        problems += [replace(problem, path=f"{folder}/{problem.path}") for problem in records.problems]
    if as_json:
        click.echo(json.dumps([_as_json(problem) for problem in problems], ensure_ascii=True, indent=1))
    else:
        for problem in problems:
            click.echo(printable(str(problem)))
        click.echo(_summary(banks, problems), err=True)
    if any(problem.is_error for problem in problems):
        raise SystemExit(1)


def _banks(paths: Iterable[Path]) -> list[Bank]:
    """Read folders whole, and single files together with the others named from their folder."""
    banks: list[Bank] = []
    files: dict[Path, set[str]] = defaultdict(set)
    for path in paths:
        if path.is_dir():
            banks.append(load(path, shown=path.as_posix()))
        else:
            files[path.parent].add(path.name)
    return banks + [load(folder, shown=folder.as_posix(), only=names) for folder, names in files.items()]


def _from_here(folder: Path) -> Path:
    """Return `folder` as a person in the current directory would name it, where that is shorter."""
    try:
        return folder.relative_to(Path.cwd())
    except ValueError:
        return folder


def _summary(banks: Sequence[Bank], problems: Sequence[Problem]) -> str:
    questions = sum(len(bank.questions) for bank in banks)
    errors = sum(problem.is_error for problem in problems)
    parts = ((questions, "question"), (errors, "error"), (len(problems) - errors, "warning"))
    return ", ".join(f"{n} {word}{'' if n == 1 else 's'}" for n, word in parts)


def _as_json(problem: Problem) -> dict[str, object]:
    return {
        "path": problem.path,
        "line": problem.line,
        "column": problem.column,
        "code": problem.code,
        "severity": "error" if problem.is_error else "warning",
        "message": problem.message,
    }
