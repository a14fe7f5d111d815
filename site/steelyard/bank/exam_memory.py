"""What is known of the exam-only quizzes of a folder, so that no accident to their files opens one.

A quiz that was exam-only stays so until a whole description says otherwise: a file says `exam: optional`, or
every file that described it is there with front matter that does not say `exam: only`, has no problem, and
orders no question that its folder lacks. Until then its exam is `unreadable`: nobody can begin it,
its questions are shown to those who take it and to nobody else, and its results wait for the close that was
known last. A folder without a description that holds questions of an exam and no others, or some of an exam
whose folder is gone, is that exam's; one inside an exam's folder that has no description is shut with it.

The memory is kept in a file beside the database, since a server may start anew in the very moment of the
damage, and several processes serve one folder. It is written as a whole or not at all; without a folder that
can be written to, each process remembers for itself.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from pydantic import TypeAdapter

from steelyard.bank import exams
from steelyard.bank.model import ROOT_QUIZ, Edition, Exam
from steelyard.bank.parse import ParsedQuiz
from steelyard.bank.report import failure
from steelyard.problems import Problem

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class KnownExam:
    """An exam-only quiz as its files last described it."""

    exam: Exam
    files: frozenset[str]
    """The names of the files that described it."""
    asked: frozenset[str]
    """The digests of its questions' wording, by which its folder is known again under another name."""


_KNOWN: TypeAdapter[dict[str, KnownExam]] = TypeAdapter(dict[str, KnownExam])


class ExamMemory:
    """The exam-only quizzes of one folder of questions. Not thread-safe: its `Loader` holds a lock."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._signature: tuple[int, ...] | None = None
        self._known: dict[str, KnownExam] = {}
        self._open: frozenset[str] = frozenset()
        """The quizzes that were for practice when they were read last: a slip in their files shuts none."""

    def settle(
        self,
        described: Mapping[str, Sequence[ParsedQuiz]],
        folders: Mapping[str, Mapping[str, Edition]],
    ) -> tuple[dict[str, Exam], list[Problem]]:
        """Return how each quiz is taken as an exam, those included whose files are gone, and what is wrong.

        `described`: slug → what came of its description's files. `folders`: slug → the questions that lie in
        its folder, by the name that an order gives them.
        """
        self._read()
        asked = {slug: _wordings(questions.values()) for slug, questions in folders.items()}
        known = dict(self._known)
        settled: dict[str, Exam] = {}
        problems: list[Problem] = []
        for slug, files in described.items():
            try:
                exam, disagreements = exams.merge(files)
            except Exception as error:
                exam, disagreements = Exam(only=True, unreadable=True), [failure(files[0].path, error)]
            problems += disagreements
            settled[slug] = exam
            last = known.get(slug)
            if last and not _names(files) >= last.files and exam != last.exam:
                settled[slug] = replace(last.exam, unreadable=True)  # what the missing file said still holds
            elif exam.only and not exam.unreadable:
                known[slug] = KnownExam(exam, _names(files), asked.get(slug, frozenset()))
            elif slug in known and _says_otherwise(files, known[slug], folders.get(slug, ())):
                del known[slug]
            elif slug in self._open and not any(file.speaks_of_an_exam for file in files):
                settled[slug] = replace(exam, only=False, unreadable=False)
        for slug in asked.keys() - described.keys() - known.keys():
            if moved := _moved(asked[slug], known, asked.keys() | described.keys()):
                known[slug] = replace(known[moved], asked=asked[slug])
        for slug, last in known.items():
            exam = settled.get(slug, Exam())
            if not exam.only or exam.unreadable:
                settled[slug] = replace(last.exam, unreadable=True)
                if slug in asked or slug in described:
                    problems.append(_shut(slug, last, described.get(slug, ())))
        for slug in asked.keys() - settled.keys():
            if above := _exam_above(slug, settled):
                settled[slug] = replace(settled[above], unreadable=True)
        self._open = frozenset(asked.keys() | settled.keys()) - {
            s for s, exam in settled.items() if exam.only
        }
        self._write(known)
        return settled, problems

    def _read(self) -> None:
        """Take over what another process has written since."""
        if self._path is None:
            return
        try:
            signature = _signature(self._path)
            if signature == self._signature:
                return
            self._known = _KNOWN.validate_json(self._path.read_bytes())
            self._signature = signature
        except FileNotFoundError:
            self._signature = None
        except (OSError, ValueError) as error:
            self._signature = None
            _log.warning("%s cannot be read (%s); the exams known so far stay shut", self._path, error)

    def _write(self, known: dict[str, KnownExam]) -> None:
        """Keep what is known, as a whole; also if the file was lost or could not be written before."""
        changed, self._known = known != self._known, known
        is_lost = self._signature is None and bool(known)
        if self._path is None or not (changed or is_lost):
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.TemporaryDirectory(dir=self._path.parent, prefix=f".{self._path.name}.") as aside:
                whole = Path(aside) / self._path.name
                with whole.open("wb") as file:
                    file.write(_KNOWN.dump_json(known, indent=1))
                    file.flush()
                    os.fsync(file.fileno())
                whole.replace(self._path)
            self._signature = _signature(self._path)
        except OSError as error:
            self._signature = None
            _log.warning(
                "%s cannot be written (%s): exams are known until the server ends", self._path, error
            )


def _wordings(editions: Iterable[Edition]) -> frozenset[str]:
    return frozenset(question.wording_digest for edition in editions for question in edition.values())


def _names(files: Sequence[ParsedQuiz]) -> frozenset[str]:
    return frozenset(PurePosixPath(file.path).name for file in files)


def _says_otherwise(files: Sequence[ParsedQuiz], last: KnownExam, questions: Collection[str]) -> bool:
    """Return whether a description that does not say `exam: only` is whole: nothing of it is lost or cut.

    Two files of one content are a file that stands in the place of another, and one that orders questions of
    another folder is that folder's. A file without front matter may have lost its beginning.
    """
    if any(file.exam_word == "optional" for file in files):
        return True
    contents = {(file.title, file.introduction.source) for file in files}
    return (
        _names(files) >= last.files
        and len(contents) == len(files)
        and not any(file.problems or file.exam_word is None for file in files)
        and {word for file in files for word in file.order} <= set(questions)
    )


def _moved(asked: frozenset[str], known: Mapping[str, KnownExam], here: Collection[str]) -> str | None:
    """Return the exam that these questions are a copy of, or whose folder is gone and left some of them."""

    def left(slug: str) -> bool:
        return asked <= known[slug].asked or (slug not in here and bool(asked & known[slug].asked))

    return next(filter(left, known), None)


def _exam_above(slug: str, settled: Mapping[str, Exam]) -> str | None:
    """Return the nearest folder above that has a description, if its quiz is exam-only."""
    above = (str(parent) for parent in PurePosixPath(slug).parents if str(parent) not in (".", ROOT_QUIZ))
    nearest = next((folder for folder in above if folder in settled), None)
    return nearest if nearest is not None and settled[nearest].only else None


def _shut(slug: str, last: KnownExam, files: Sequence[ParsedQuiz]) -> Problem:
    gone = sorted(last.files - _names(files))
    path = files[0].path if files else f"{slug}/{gone[0]}"
    why = f"{', '.join(gone)} is not there" if gone else "its description cannot be relied on"
    message = f"this quiz was exam-only and stays shut, since {why}: mend it, or write `exam: optional` there"
    return Problem(path, 1, 1, "E027", message)


def _signature(path: Path) -> tuple[int, ...]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino
