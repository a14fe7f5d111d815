"""A folder of question files to a `Bank`. One bad file never hides the good ones, and nothing here raises."""

from __future__ import annotations

import operator
import os
import re
import stat
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from threading import Lock
from unicodedata import category

from steelyard.bank import languages
from steelyard.bank.exam_memory import ExamMemory
from steelyard.bank.model import ROOT_QUIZ, Bank, Edition, Exam, Quiz, Text, slug_of
from steelyard.bank.parse import MAX_BYTES, Parsed, ParsedQuiz, parse, parse_quiz
from steelyard.bank.places import Places
from steelyard.bank.report import failure
from steelyard.problems import Problem

_LANGUAGE = re.compile(r"(.+)\.([a-z]{2})", re.DOTALL)


_Merged = dict[str, tuple[tuple[Parsed, ...], tuple[Edition, list[Problem]]]]
"""Id → the parsed files of a question, and what came of merging them."""


@dataclass(frozen=True)
class QuestionFile:
    """A Markdown file of the bank's folder, with what tells whether it has changed."""

    path: str
    name: str
    """The path below the bank's folder, with slashes."""
    signature: tuple[int, ...]


def load(root: Path, *, shown: str | None = None, only: Collection[str] | None = None) -> Bank:
    """Read every question below `root`.

    Problems show a file's path below `shown` (by default the folder's name). `only` narrows the reading to
    some files that lie in `root` itself, by name.
    """
    return Loader(shown, only)(root)


class Loader:
    """Reads a folder again and again, and parses only the files that changed in between. Thread-safe.

    `memory` is the file in which it keeps which quizzes are exam-only; see `steelyard.bank.exam_memory`.
    """

    def __init__(
        self,
        shown: str | None = None,
        only: Collection[str] | None = None,
        memory: Path | None = None,
    ) -> None:
        self._shown = shown
        self._only = only
        self._exams = ExamMemory(memory)
        self._known: dict[str, tuple[tuple[int, ...], Parsed | ParsedQuiz]] = {}
        self._merged: _Merged = {}
        self._lock = Lock()

    def __call__(self, root: Path) -> Bank:
        with self._lock:
            shown = PurePosixPath(root.resolve().name if self._shown is None else self._shown)
            prefix = "" if shown == PurePosixPath() else f"{str(shown).rstrip('/')}/"
            files = [_named(root, name) for name in sorted(self._only)] if self._only else _files(root)
            known = self._known
            self._known = {}
            assembly = _Assembly(root, self._merged, self._exams)
            for file in files:
                path = f"{prefix}{file.name}"
                before = known.get(file.name)
                parsed = before[1] if before and before[0] == file.signature else _read(file, path)
                if parsed is None:
                    continue
                self._known[file.name] = (file.signature, parsed)
                assembly.add(file.name, path, parsed)
            bank = assembly.bank()
            self._merged = assembly.merged
            return bank


def _files(root: Path) -> list[QuestionFile]:
    """Return the question files below `root` in order; what cannot be looked at is left out."""
    return sorted(_walk(root), key=lambda file: file.name)


def _walk(root: Path) -> Iterator[QuestionFile]:
    top = root.resolve()
    folders = [(str(root), "")]
    while folders:
        folder, prefix = folders.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError:
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            name = _addressable(entry.name)
            try:
                if entry.is_dir(follow_symlinks=False):
                    folders.append((entry.path, f"{prefix}{name}/"))
                elif _is_question(entry.name) and entry.is_file():
                    if entry.is_symlink() and not Path(entry.path).resolve().is_relative_to(top):
                        continue
                    yield QuestionFile(entry.path, prefix + name, _signature(entry.stat()))
            except OSError:
                continue


def _addressable(name: str) -> str:
    """Return a name that can stand in a page and its address: what is no UTF-8, or controls, is replaced."""
    return "".join("\ufffd" if category(char) in ("Cc", "Cs") else char for char in name)


def _is_question(name: str) -> bool:
    return name.endswith(".md") and name.casefold() != "readme.md"


def _signature(status: os.stat_result) -> tuple[int, ...]:
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


def _named(root: Path, name: str) -> QuestionFile:
    try:
        signature = _signature((root / name).stat())
    except OSError:
        signature = ()
    return QuestionFile(str(root / name), name, signature)


def _read(file: QuestionFile, path: str) -> Parsed | ParsedQuiz | None:
    """Parse one file; None when it has just vanished."""
    question_id, language = _identify(file.name)
    is_quiz = question_id.rpartition("/")[2] == "_quiz"
    try:
        with Path(file.path).open("rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise OSError("it is no plain file")
            data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        reason = error.strerror or str(error)
        problem = Problem(path, 1, 1, "E001", f"the file cannot be read: {reason}")
        return _unread(path, language, problem, is_quiz=is_quiz)
    try:
        if is_quiz:
            return parse_quiz(data, path, language or "en")
        return parse(data, path, question_id, language)
    except Exception as error:
        return _unread(path, language, failure(path, error), is_quiz=is_quiz)


def _unread(path: str, language: str | None, problem: Problem, *, is_quiz: bool) -> Parsed | ParsedQuiz:
    if is_quiz:  # it may hide an exam's questions: nobody can tell
        exam = Exam(only=True, unreadable=True)
        return ParsedQuiz("", Text(""), (), language or "en", path, (problem,), exam)
    return Parsed(None, (problem,))


def _identify(name: str) -> tuple[str, str | None]:
    """Return the id and the language that a file's name gives; known or not."""
    stem = name.removesuffix(".md")
    match = _LANGUAGE.fullmatch(stem)
    return (match[1], match[2]) if match else (stem, None)


class _Assembly:
    """Puts the parsed files together: languages to editions, folders to quizzes."""

    def __init__(self, root: Path, before: _Merged, memory: ExamMemory) -> None:
        self.root = root
        self.before = before
        self.memory = memory
        self.merged: _Merged = {}
        self.problems: list[Problem] = []
        self.files: dict[str, dict[str, tuple[str, Parsed]]] = defaultdict(dict)
        self.broken: dict[str, list[Problem]] = defaultdict(list)
        self.quizzes: dict[str, dict[str, ParsedQuiz]] = defaultdict(dict)
        self.described: dict[str, list[ParsedQuiz]] = defaultdict(list)
        self.exams: dict[str, Exam] = {}
        self.places: dict[str, Places] = {}

    def add(self, name: str, path: str, parsed: Parsed | ParsedQuiz) -> None:
        question_id, _ = _identify(name)
        problems = list(parsed.problems)
        if isinstance(parsed, ParsedQuiz):
            self.quizzes[slug_of(question_id)][parsed.language] = parsed
            self.described[slug_of(question_id)].append(parsed)
            self.problems += problems
            return
        if parsed.question:
            spoken = parsed.question.language
            if spoken in self.files[question_id]:
                other = self.files[question_id][spoken][0]
                problems.append(
                    Problem(path, 1, 1, "E023", f"{other} gives this question in {spoken} already")
                )
            else:
                self.files[question_id][spoken] = (path, parsed)
                self.places[path] = parsed.places
        else:
            self.broken[question_id] += problems
        self.problems += problems

    def bank(self) -> Bank:
        questions: dict[str, Edition] = {}
        for question_id in sorted(self.files):
            if self.files[question_id]:
                edition, problems = self.merge(question_id)
                questions[question_id] = edition
                self.problems += problems
                left_out = {
                    self.files[question_id][language][0]
                    for language in self.files[question_id].keys() - edition
                }
                if left_out:
                    self.broken[question_id] += [problem for problem in problems if problem.path in left_out]
        folders = _folders(questions)
        named = {
            slug: {question_id.removeprefix(f"{slug}/"): questions[question_id] for question_id in ids}
            for slug, ids in folders.items()
        }
        self.exams, problems = self.memory.settle(self.described, named)
        self.problems += problems
        regraded = {question_id for question_id, edition in questions.items() if edition.first.regrade}
        whole = self.quizzes.get(ROOT_QUIZ, {})
        quizzes = {slug: self.quiz(slug, folders[slug], regraded) for slug in self.ordered(list(folders))}
        return Bank(
            questions,
            {slug: quiz for slug, quiz in quizzes.items() if quiz.questions},
            tuple(sorted(self.problems)),
            {question_id: tuple(problems) for question_id, problems in sorted(self.broken.items())},
            self.root,
            self.exams,
            self.places,
            _titles(whole),
            _introductions(whole),
        )

    def merge(self, question_id: str) -> tuple[Edition, list[Problem]]:
        """Merge the languages of a question, unless all its files are what they were the last time."""
        files = tuple(parsed for _, parsed in self.files[question_id].values())
        known = self.before.get(question_id)
        if known is None or len(known[0]) != len(files) or any(map(operator.is_not, known[0], files)):
            try:
                merged, problems = languages.merge(files)
            except Exception as error:
                merged = [question for parsed in files if (question := parsed.question)][:1]
                problems = [failure(merged[0].path, error)]
            known = files, (Edition({question.language: question for question in merged}), problems)
        self.merged[question_id] = known
        return known[1]

    def ordered(self, slugs: list[str]) -> list[str]:
        """Put the quizzes into the order that the root's own `_quiz` names, the others behind them."""
        named: list[str] = []
        for _, root in sorted(self.quizzes.get(ROOT_QUIZ, {}).items()):
            for index, word in enumerate(root.order):
                named.append(word)
                if word not in slugs and word not in self.files:
                    self.missing(root, index, word)
        return sorted(slugs, key=lambda slug: named.index(slug) if slug in named else len(named))

    def quiz(self, slug: str, ids: list[str], regraded: Collection[str]) -> Quiz:
        exam = self.exams.get(slug, Exam())
        # What stands in place of a description that is damaged may be anything, even a question of the exam.
        described = {} if exam.unreadable else self.quizzes.get(slug, {})
        ordered: list[str] = []
        for _, quiz in sorted(described.items()):
            for index, word in enumerate(quiz.order):
                question_id = word if slug == ROOT_QUIZ else f"{slug}/{word}"
                if question_id in ids and question_id not in ordered:
                    ordered.append(question_id)
                elif question_id not in ids and slug != ROOT_QUIZ:
                    self.missing(quiz, index, question_id)
        return Quiz(
            slug,
            _titles(described),
            _introductions(described),
            tuple(
                question_id
                for question_id in (
                    *ordered,
                    *(question_id for question_id in ids if question_id not in ordered),
                )
                if question_id not in regraded
            ),
            exam,
        )

    def missing(self, quiz: ParsedQuiz, index: int, question_id: str) -> None:
        if question_id not in self.broken:
            message = f'the order names "{quiz.order[index]}", but the folder has no such question'
            self.problems.append(Problem(quiz.path, *quiz.places.value("order", index), "E025", message))


def _folders(ids: Collection[str]) -> dict[str, list[str]]:
    folders: dict[str, list[str]] = defaultdict(list)
    for question_id in sorted(ids):
        folders[slug_of(question_id)].append(question_id)
    return dict(sorted(folders.items()))


def _titles(described: Mapping[str, ParsedQuiz]) -> dict[str, str]:
    return {language: quiz.title for language, quiz in described.items() if quiz.title}


def _introductions(described: Mapping[str, ParsedQuiz]) -> dict[str, Text]:
    return {language: quiz.introduction for language, quiz in described.items() if quiz.introduction.source}
