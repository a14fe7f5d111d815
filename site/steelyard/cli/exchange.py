"""`steelyard export` and `steelyard import`: questions to and from other systems."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import click

from steelyard import evidence
from steelyard.bank.headings import HEADINGS
from steelyard.bank.load import load
from steelyard.bank.model import Bank, Exam, slug_of
from steelyard.cli.words import printable, settings
from steelyard.exchange import gift, moodle_xml, qti
from steelyard.exchange.export import item
from steelyard.exchange.files import import_plan
from steelyard.exchange.item import PLUGINFILE, Item, Reading

MAX_BYTES = 64 * 1024 * 1024
"""Of a file that is imported: as much as several thousand questions with pictures."""

_PICTURES = {"gift": None, "moodle-xml": PLUGINFILE, "qti": qti.PICTURES}


@click.command(name="export")
@click.argument("name", metavar="QUIZ")
@click.option("--format", "target", required=True, type=click.Choice(["gift", "moodle-xml", "qti"]))
@click.option("--lang", default="en", show_default=True, type=click.Choice(list(HEADINGS)))
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="The file; without it, the output."
)
@click.option(
    "--questions", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Folder of questions."
)
def export_(name: str, target: str, lang: str, out: Path | None, questions: Path | None) -> None:
    """Write a quiz, or a single question, for another system.

    QUIZ is a folder of questions such as lora, or a question such as lora/rank. GIFT and Moodle XML are for
    Moodle, QTI 1.2 (a zip) for Canvas. What the format cannot hold is named on standard error, one line each.
    """
    if target == "qti" and out is None:
        raise click.UsageError("a zip is no text for a terminal: name its file with --out")
    chosen = settings()
    bank = load(questions or chosen.questions)
    title, ids = _wanted(bank, name, lang)
    records = evidence.load(chosen.results)
    notes: dict[str, None] = {}  # what gets lost: in order, and each once
    items: list[Item] = []
    for question_id in ids:
        question = bank.questions[question_id].get(lang)
        if question is None:
            notes[f"{question_id}: left out: the question is missing in {lang}"] = None
        else:
            items.append(
                item(question, records, bank.root, _PICTURES[target], partial(_tell, notes, question_id))
            )
        if question and question.regrade:
            _tell(notes, question_id, f"no other system knows regrade: {question.regrade}")
    quiz = bank.quizzes.get(slug_of(ids[0]))
    if quiz and quiz.exam != Exam():
        _tell(notes, quiz.slug, "an exam's options (minutes, opens, closes) are not exported: set them there")
    if not items:
        raise click.ClickException(f'"{printable(name)}" has no question in {lang}')
    data = _written(target, items, title, lambda about, message: _tell(notes, about.id, message))
    for line in notes:
        click.echo(printable(line), err=True)
    if out is None:
        click.echo(data, nl=False)
        return
    _replace(out, data)
    what = "question" if len(items) == 1 else "questions"
    click.echo(f"{len(items)} {what} written to {printable(str(out))}", err=True)


def _written(target: str, items: Sequence[Item], title: str, tell: Callable[[Item, str], None]) -> bytes:
    match target:
        case "gift":
            return gift.write(items, title, tell).encode()
        case "moodle-xml":
            return moodle_xml.write(items, title, tell)
    return qti.write(items, title, tell)


def _tell(notes: dict[str, None], question_id: str, message: str) -> None:
    notes[f"{question_id}: {message}"] = None


def _wanted(bank: Bank, name: str, lang: str) -> tuple[str, tuple[str, ...]]:
    """Return the title and the questions of what a person names. Raises ClickException."""
    asked = name.rstrip("/").removesuffix(".md")
    asked = re.sub(rf"\.({'|'.join(HEADINGS)})$", "", asked)
    if (quiz := bank.quizzes.get(asked)) and quiz.questions:
        return quiz.title(lang), quiz.questions
    if asked in bank.questions:
        question = bank.question(asked, lang)
        return (question.title if question else asked), (asked,)
    if asked in bank.broken:
        first = bank.broken[asked][0]
        raise click.ClickException(f"{printable(asked)} cannot be read: {printable(str(first))}")
    known = ", ".join(bank.quizzes)
    raise click.ClickException(f'no quiz or question "{printable(name)}"; the quizzes are {printable(known)}')


def _replace(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    made = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        made.write_bytes(data)
        made.replace(path)
    except OSError as error:
        made.unlink(missing_ok=True)
        reason = error.strerror or error
        raise click.ClickException(f"{printable(str(path))} cannot be written: {reason}") from None


@click.command(name="import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--to", "folder", required=True, type=click.Path(path_type=Path), help="The folder, a new quiz."
)
@click.option(
    "--lang", required=True, type=click.Choice(list(HEADINGS)), help="What the questions are written in."
)
def import_(file: Path, folder: Path, lang: str) -> None:
    """Make question files of a GIFT (.gift, .txt) or Moodle XML (.xml) file.

    Single- and multiple-answer and true/false questions become files in which `steelyard check` finds no
    error; what else there is, and what gets lost, is named with its line. Nothing is overwritten; when the
    file has an error nothing is written.
    """
    reading = _read(file, lang)
    shown = printable(str(file))
    if reading.errors:
        for error in sorted(reading.errors):
            click.echo(f"{shown}:{error.line}: {printable(error.message)}")
        raise SystemExit(1)
    made = import_plan(reading, lang, folder.name)
    for note in sorted(set(reading.notes)):
        click.echo(f"{shown}:{note.line}: {printable(note.message)}", err=True)
    if not made.names:
        raise click.ClickException(f"{shown} has no question that can be imported; nothing is written")
    if (folder / f"_quiz.{lang}.md").exists():
        made.description.clear()
    try:
        written = made.write(folder)
    except FileExistsError as error:
        raise click.ClickException(
            f"{printable(str(error.filename or error))} exists; nothing is written: name another folder"
        ) from None
    except OSError as error:
        raise click.ClickException(
            f"{printable(str(folder))}: {error.strerror}; nothing is written"
        ) from None
    for path in written:
        click.echo(printable(str(path)))
    what = "question" if len(made.names) == 1 else "questions"
    click.echo(
        f"{len(made.names)} {what} imported; next: steelyard check {printable(str(folder))}"
        + (f" ({reading.left_out} left out, see above)" if reading.left_out else ""),
        err=True,
    )


def _read(file: Path, language: str) -> Reading:
    """Read a file by what it is. Raises ClickException for what is neither GIFT nor Moodle XML."""
    shown = printable(str(file))
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise click.ClickException(f"{shown} cannot be read: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise click.ClickException(f"{shown} is larger than {MAX_BYTES // 2**20} MiB: divide it")
    if data.startswith(b"PK"):
        raise click.ClickException(f"{shown} is a zip: {_inside(data)}")
    suffix = file.suffix.lower()
    if suffix == ".xml" or (
        suffix not in (".gift", ".txt") and data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")
    ):
        return moodle_xml.read(data, language)
    if suffix not in (".gift", ".txt"):
        raise click.ClickException(f"{shown} is neither .gift, .txt (GIFT) nor .xml (Moodle XML)")
    data = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    try:
        return gift.read(data.decode(), language)
    except UnicodeDecodeError as error:
        reading = Reading()
        reading.error(data.count(b"\n", 0, error.start) + 1, "the file is not UTF-8: save it as UTF-8")
        return reading


def _inside(data: bytes) -> str:
    """Return what to do with a zip. It holds the names of its files as they are; nothing is unpacked."""
    if b"imsmanifest.xml" in data:
        return moodle_xml.NO_QTI
    return "unpack it, and import the .gift or .xml file inside"
