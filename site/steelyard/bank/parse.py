"""One question file to a `Question`, with every problem of the file at its true line. Never raises."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Literal
from unicodedata import normalize

from markdown_it.token import Token

from steelyard.bank import answer, choices, frontmatter, nesting
from steelyard.bank.frontmatter import FrontMatter, QuizMatter
from steelyard.bank.headings import HEADINGS, SECTIONS, Section, heading, miswritten, recognise
from steelyard.bank.model import Choice, Exam, Part, Question, Text
from steelyard.bank.places import Places
from steelyard.bank.report import Report, quoted, span
from steelyard.markup.markdown import parser
from steelyard.problems import Problem

MAX_BYTES = 64 * 1024
"""A question has a few thousand; the limit bounds how long a hostile one can keep the parser busy."""

_MD = parser()
_EXAM = re.compile(rb"^\W*(?:exam|opens|closes|members)\W*:", re.MULTILINE)
_MEANT = re.compile(r'did you mean "(?:exam|opens|closes|members)"')
_LOST = frozenset(("E001", "E002", "E003", "E004", "E028"))
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029]")
"""What no question file may hold."""
_FEEDBACK = re.compile(r"[*_]*([A-ZＡ-Ｚ])[*_]*(?:[.．)）:：、].*|[*_]*)", re.DOTALL)


@dataclass(frozen=True)
class Parsed:
    """What came of one file."""

    question: Question | None
    """None when the file has an error."""
    problems: tuple[Problem, ...]
    given: frozenset[str] = frozenset()
    """The front-matter keys that the file sets."""
    answer_line: int = 1
    """Where the key is given, for problems that concern it."""
    places: Places = field(default_factory=Places)


@dataclass(frozen=True)
class ParsedQuiz:
    """What came of a `_quiz.<lang>.md`."""

    title: str
    introduction: Text
    order: tuple[str, ...]
    language: str
    path: str
    problems: tuple[Problem, ...]
    exam: Exam = field(default_factory=Exam)
    places: Places = field(default_factory=Places)
    speaks_of_an_exam: bool = False
    """Whether the file, readable or not, has a line that is or may be meant as `exam:`."""
    exam_word: Literal["only", "optional", ""] | None = None
    """What front matter without problems says after `exam:`; empty if nothing, None without any such."""


def parse(data: bytes, path: str, question_id: str = "", language: str | None = None) -> Parsed:
    """Read one question file. `path` is what problems show; without `language` the headings decide it."""
    report = Report(path)
    _check_language(language, report)
    lines = _decode(data, report)
    if lines is None:
        return Parsed(None, tuple(report.problems))
    return SourceFile(lines, report).question(question_id, language)


def parse_quiz(data: bytes, path: str, language: str) -> ParsedQuiz:
    """Read the file that describes a folder: a title, then the introduction."""
    report = Report(path)
    _check_language(language, report)
    lines = _decode(data, report) or []
    block = frontmatter.split(lines, report)
    matter, places = frontmatter.read(block, QuizMatter, report) if block else (None, Places())
    body = block.body if block else 0
    tokens, _ = _blocks(lines, body)
    first = next((i for i, t in enumerate(tokens) if t.type == "heading_open" and t.level == 0), None)
    title, start = "", body
    if first is None or tokens[first].tag != "h1":
        line = min(body + 1, max(1, len(lines)))
        report(line, 1, "E007", 'the title is missing: begin with a line "# Title"')
    else:
        title, start = tokens[first + 1].content, _map(tokens[first])[1]
    order = matter.order if matter else ()
    introduction = _text(lines, start, len(lines))
    nesting.check(introduction, lines, report)
    for i, token in enumerate(tokens):
        if token.type == "heading_open" and token.tag == "h2" and recognise(tokens[i + 1].content):
            message = "this is a question; a _quiz file has a title and an introduction"
            report(_map(token)[0] + 1, 1, "E028", message)
            break
    exam = _exam(matter) if matter else Exam()
    speaks = exam.only or _EXAM.search(data) is not None or _has_key_like_exam(report.problems)
    if report.problems and not exam.only and (speaks or _is_lost(lines, report.problems)):
        exam = Exam(only=True, unreadable=True)
    problems = tuple(report.problems)
    word = (matter.exam or "") if matter else None
    return ParsedQuiz(title, introduction, order, language, path, problems, exam, places, speaks, word)


def _exam(matter: QuizMatter) -> Exam:
    return Exam(matter.exam == "only", matter.minutes, matter.opens, matter.closes, matter.members == "only")


def _has_key_like_exam(problems: Sequence[Problem]) -> bool:
    """Return whether an unknown key may be a slip for one that only an exam has."""
    return any(problem.code == "E005" and _MEANT.search(problem.message) for problem in problems)


def _is_lost(lines: Sequence[str], problems: Sequence[Problem]) -> bool:
    """Return whether so little of a file can be read that nobody can tell whether it was an exam's."""
    return not any(line.strip() for line in lines) or any(problem.code in _LOST for problem in problems)


def _check_language(language: str | None, report: Report) -> None:
    if language is not None and language not in HEADINGS:
        known = ", ".join(HEADINGS)
        message = f'the language "{language}" of the file\'s name is not known; known are {known}'
        report(1, 1, "E026", message)


def _decode(data: bytes, report: Report) -> list[str] | None:
    """Return the file's lines, or None after reporting why it is no text."""
    if len(data) > MAX_BYTES:
        report(1, 1, "E001", f"the file is larger than {MAX_BYTES // 1024} KiB")
        return None
    data = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        begin = data.rfind(b"\n", 0, error.start) + 1
        column = len(data[begin : error.start].decode(errors="replace")) + 1
        report(line, column, "E002", "the file is not UTF-8: save it as UTF-8")
        return None
    lines = text.split("\n")
    if CONTROL.search(text):
        for number, content in enumerate(lines, 1):
            if match := CONTROL.search(content):
                code = f"U+{ord(match[0]):04X}"
                report(number, match.start() + 1, "E003", f"control character {code}: delete it")
        return None
    return lines


def _blocks(lines: Sequence[str], begin: int) -> tuple[list[Token], str]:
    """Return the block tokens of the lines from `begin`, and the link definitions among those lines.

    The tokens' maps are lines of the file, from 0.
    """
    tokens: list[Token] = []
    env: dict[str, Any] = {}
    # Blank lines in place of the front matter keep every map true.
    _MD.block.parse("\n" * begin + "\n".join(lines[begin:]), _MD, env, tokens)
    places = sorted(definition["map"] for definition in env.get("references", {}).values())
    return tokens, "\n".join(line for start, end in places for line in lines[start:end])


def _map(token: Token) -> tuple[int, int]:
    begin, end = token.map or (0, 0)
    return begin, end


def _text(lines: Sequence[str], begin: int, end: int) -> Text:
    while begin < end - 1 and not lines[begin].strip():
        begin += 1
    return Text("\n".join(lines[begin:end]).strip("\n").rstrip(), begin + 1)


@dataclass
class _SectionSpan:
    """A section, by lines from 0."""

    heading: int
    begin: int
    end: int
    tokens: list[Token] = field(default_factory=list)


class SourceFile:
    """The lines of a question file while they are read; problems go to its report."""

    def __init__(self, lines: list[str], report: Report) -> None:
        self.lines = lines
        self.report = report
        self.last = max(1, len(lines) - (lines[-1] == "" and len(lines) > 1))
        self.title: str | None = None
        self.sections: dict[Section, _SectionSpan] = {}
        self.languages: list[str] = []
        self.definitions = ""
        """The file's link definitions: a text that is shown apart from them takes them along."""

    def question(self, question_id: str, language: str | None) -> Parsed:
        block = frontmatter.split(self.lines, self.report)
        matter, places = (
            frontmatter.read(block, FrontMatter, self.report) if block else (FrontMatter(), Places())
        )
        self.check_claims(matter, places)
        if not self.find_sections(block.body if block else 0):
            return Parsed(None, tuple(self.report.problems))
        written = self.language()
        self.check_sections(language if language in HEADINGS else written)
        entries = self.read_choices()
        key, answer_line = self.key(entries, matter)
        parts = self.explanation(entries)
        self.check_nesting(entries, parts)
        problems = tuple(sorted(self.report.problems, key=lambda problem: (problem.line, problem.column)))
        given = frozenset(matter.model_fields_set) if matter else frozenset()
        if self.report.has_errors or matter is None or self.title is None:
            return Parsed(None, problems, given, answer_line, places)
        feedback = {part.letter: part.text for part in parts if part.letter}
        kind = matter.type or ("multiple" if len(key) > 1 else "single")
        stem = self.sections["question"]
        question = Question(
            id=question_id,
            language=language or written,
            path=self.report.path,
            title=self.title,
            stem=self.linked(_text(self.lines, stem.begin, stem.end)),
            choices=tuple(
                Choice(
                    choice.letter,
                    self.linked(choice.text),
                    choice.letter in key,
                    self.linked(choice.feedback) if choice.feedback else feedback.get(choice.letter),
                )
                for choice in entries
            ),
            explanation=tuple(parts),
            type=kind,
            scoring=matter.scoring or ("balanced" if len(key) > 1 else "all-or-nothing"),
            shuffle=matter.shuffle,
            techniques=matter.techniques,
            difficulty=matter.difficulty,
            tags=matter.tags,
            sources=matter.sources,
            claims=matter.claims,
            regrade=matter.regrade,
        )
        return Parsed(question, problems, given, answer_line, places)

    def check_nesting(self, entries: Sequence[choices.ChoiceEntry], parts: Sequence[Part]) -> None:
        stem = self.sections.get("question")
        texts = {_text(self.lines, stem.begin, stem.end)} if stem else set()
        texts.update(choice.text for choice in entries)
        texts.update(choice.feedback for choice in entries if choice.feedback)
        texts.update(part.text for part in parts)
        for text in texts:
            nesting.check(text, self.lines, self.report)

    def check_claims(self, matter: FrontMatter | None, places: Places) -> None:
        seen: set[str] = set()
        for index, claim in enumerate(matter.claims if matter else ()):
            if claim.id in seen:
                place = places.value("claims", index, "id")
                self.report(*place, "E036", f"a second claim {claim.id}")
            seen.add(claim.id)

    # ---- sections ---------------------------------------------------------------------------------------

    def find_sections(self, begin: int) -> bool:
        """Find the title and the sections; a heading that is written wrongly is reported and mended once.

        Return whether the parser has read all of the file: not where blocks are nested too deeply.
        """
        tokens, self.definitions = _blocks(self.lines, begin)
        if (deepest := nesting.deepest_block(tokens)) is not None:
            self.report(deepest + 1, 1, "E038", nesting.TOO_DEEP)
            return False
        missing = set(SECTIONS) - {name for _, (_, name) in self.headings(tokens)}
        lines = list(self.lines)
        for i in range(begin, len(lines)):
            named = miswritten(lines[i]) if missing and lines[i].lstrip()[:1] in ("#", "＃") else None
            if named and named[1] in missing:
                missing.discard(named[1])
                lines[i] = heading(named[1], named[0])
                self.report(i + 1, 1, "E034", f'write "{lines[i]}", with two "#" and a space')
        if lines != self.lines:
            self.lines = lines
            tokens, self.definitions = _blocks(lines, begin)
        self.cut(tokens, begin)
        return True

    def headings(self, tokens: Sequence[Token]) -> list[tuple[int, tuple[str, Section]]]:
        """Return the sections' headings: the index of the token, language and section."""
        return [
            (i, named)
            for i, token in enumerate(tokens)
            if token.type == "heading_open" and token.level == 0 and token.tag == "h2"
            if (named := recognise(tokens[i + 1].content))
        ]

    def cut(self, tokens: list[Token], begin: int) -> None:
        named = dict(self.headings(tokens))
        starts = [i for i, token in enumerate(tokens) if self.divides(token)]
        first = _map(tokens[starts[0]])[0] if starts else len(self.lines)
        self.outside(begin, first)
        for i, following in pairwise([*starts, len(tokens)]):
            line, content = _map(tokens[i])
            end = _map(tokens[following])[0] if following < len(tokens) else len(self.lines)
            if i in named:
                language, section = named[i]
                self.languages.append(language)
                self.add(section, _SectionSpan(line, content, end, tokens[i + 3 : following]))
            elif tokens[i].tag == "h1":
                self.set_title(tokens[i + 1].content, line)
                self.outside(content, end)
            else:
                text = quoted(tokens[i + 1].content)
                self.report(line + 1, 1, "E009", f'{text} is no section; use "###" for a heading within one')

    def divides(self, token: Token) -> bool:
        if token.type != "heading_open" or token.level != 0 or token.tag not in ("h1", "h2"):
            return False
        return token.markup.startswith("#")

    def outside(self, begin: int, end: int) -> None:
        line = next((i for i in range(begin, end) if self.lines[i].strip()), None)
        if line is not None:
            self.report(line + 1, 1, "E009", "this text stands in no section")

    def set_title(self, title: str, line: int) -> None:
        title = re.sub(r"\s+", " ", title).strip()
        if self.title is not None:
            self.report(line + 1, 1, "E008", "a second title: a file holds one question")
        elif not title:
            self.report(line + 1, 1, "E007", "the title is empty")
        self.title = self.title or title

    def add(self, section: Section, span: _SectionSpan) -> None:
        if section in self.sections:
            first = self.sections[section].heading + 1
            message = f"a second section {quoted(section)}; the first is on line {first}"
            self.report(span.heading + 1, 1, "E008", message)
        else:
            self.sections[section] = span

    def language(self) -> str:
        return max(HEADINGS, key=self.languages.count) if self.languages else next(iter(HEADINGS))

    def check_sections(self, language: str) -> None:
        if self.title is None:
            self.report(1, 1, "E007", 'the title is missing: write "# …"')
        tasks = "choices" in self.sections and self.has_tasks()
        for section in SECTIONS:
            span = self.sections.get(section)
            if span is None:
                if not (tasks and section == "answer"):
                    message = f'the section "{heading(section, language)}" is missing'
                    self.report(self.last, 1, "E007", message)
            elif section in ("question", "explanation") and not self.has_text(span):
                self.report(span.heading + 1, 1, "E007", f"the section {quoted(section)} is empty")

    def has_text(self, span: _SectionSpan) -> bool:
        return any(line.strip() for line in self.lines[span.begin : span.end])

    def has_tasks(self) -> bool:
        return any(choices.is_task(line) for line in self.lines_of("choices"))

    def lines_of(self, section: Section) -> Sequence[str]:
        span = self.sections[section]
        return self.lines[span.begin : span.end]

    # ---- choices and key --------------------------------------------------------------------------------

    def read_choices(self) -> list[choices.ChoiceEntry]:
        section = self.sections.get("choices")
        if section is None:
            return []
        return choices.read(self.lines, section.begin, section.end, section.tokens, self.report)

    def key(
        self, entries: Sequence[choices.ChoiceEntry], matter: FrontMatter | None
    ) -> tuple[frozenset[str], int]:
        """Return the letters of the right choices and the line that gives them."""
        section = self.sections.get("answer")
        tasks = any(choice.ticked is not None for choice in entries)
        if tasks and section:
            message = "a task list ticks the right choices itself: delete this section"
            self.report(section.heading + 1, 1, "E014", message)
            return frozenset(), section.heading + 1
        if tasks:
            letters = frozenset(choice.letter for choice in entries if choice.ticked)
            line = self.sections["choices"].heading + 1
            column = 1
            if not letters:
                self.report(line, 1, "E011", 'no choice is ticked: write "- [x]" before each right one')
        elif section and entries:
            texts = {choice.letter: choice.text.source.partition("\n")[0] for choice in entries}
            named = answer.read(self.lines_of("answer"), section.begin + 1, texts, self.report)
            if named is None:
                return frozenset(), section.heading + 1
            letters, line, column = named.letters, named.line, named.column
        else:
            return frozenset(), 1
        if matter and matter.type == "single" and len(letters) > 1:
            message = f"the type is single, but the answer names {len(letters)} choices"
            self.report(line, column, "E015", message)
        return letters, line

    # ---- explanation ------------------------------------------------------------------------------------

    def explanation(self, entries: Sequence[choices.ChoiceEntry]) -> list[Part]:
        section = self.sections.get("explanation")
        if section is None:
            return []
        letters = {choice.letter for choice in entries}
        has_feedback = {choice.letter for choice in entries if choice.feedback}
        parts: list[Part] = []
        letter, level, begin = None, 0, section.begin
        for i, token in enumerate(section.tokens):
            if token.type != "heading_open" or token.level != 0:
                continue
            line, content = _map(token)
            rank = int(token.tag[1:])
            named = _feedback_letter(section.tokens[i + 1].content)
            if named is None and (letter is None or rank > level):
                continue
            self.part(parts, letter, begin, line)
            letter, level, begin = named, rank, content if named else line
            if named:
                self.check_feedback(named, line + 1, letters, has_feedback)
        self.part(parts, letter, begin, section.end)
        if not parts and self.has_text(section):
            self.report(section.heading + 1, 1, "E007", 'the section "explanation" is empty')
        return parts

    def part(self, parts: list[Part], letter: str | None, begin: int, end: int) -> None:
        text = _text(self.lines, begin, end)
        if text.source:
            parts.append(Part(letter, self.linked(text)))
        elif letter:
            self.report(begin, 1, "E007", f"the feedback for {letter} is empty")

    def linked(self, text: Text) -> Text:
        if self.definitions and "[" in text.source:
            return replace(text, source=f"{text.source}\n\n{self.definitions}")
        return text

    def check_feedback(self, letter: str, line: int, letters: set[str], has_feedback: set[str]) -> None:
        if letter not in letters:
            if letters:
                message = f"feedback for {letter}, but the choices are {span(letters)}"
                self.report(line, 1, "E032", message)
        elif letter in has_feedback:
            self.report(line, 1, "E033", f"feedback for {letter} was given before")
        has_feedback.add(letter)


def _feedback_letter(text: str) -> str | None:
    match = _FEEDBACK.fullmatch(text.strip())
    return normalize("NFKC", match[1]) if match else None
