"""Items to question files: each is made as text and read back by the bank's own parser before it is written.

All or nothing: everything is made and checked before the first file is created, no file is ever overwritten,
and when one cannot be written those that were are taken away again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from string import ascii_uppercase
from unicodedata import normalize
from urllib.parse import quote

import yaml

from memlab.results.techniques import TECHNIQUES
from steelyard.bank.answer import comparable
from steelyard.bank.headings import heading
from steelyard.bank.model import Question
from steelyard.bank.parse import CONTROL, parse
from steelyard.exchange.grades import default_scoring
from steelyard.exchange.item import PLUGINFILE, Item
from steelyard.exchange.markdown import to_markdown
from steelyard.exchange.words import WORDS
from steelyard.html import IMAGE_TYPES

MAX_TAGS = 50

Note = Callable[[int, str], None]


@dataclass
class ImportPlan:
    """What will be written, by name within the folder, and the questions among it."""

    language: str
    files: dict[str, bytes] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    """Of the questions, without suffix, in order."""
    _seen: dict[tuple[str, ...], str] = field(default_factory=dict)

    def add(self, item: Item, note: Note) -> None:
        """Add a question with its pictures, or note why no question file can hold it."""
        name = self._name(item)
        pictures = self._pictures(item, name, note)
        text = question_file(item, self.language, pictures, lambda message: note(item.line, message))
        result = parse(text.encode(), f"{name}.{self.language}.md", name, self.language)
        errors = [problem.message for problem in result.problems if problem.is_error]
        if errors or result.question is None:
            note(item.line, f'question "{item.title}" is left out: as a question file, {errors[0]}')
            return
        if twin := self._seen.get(same := _what(result.question)):
            note(
                item.line,
                f'question "{item.title}" is left out: it asks the same as {twin} with the same choices',
            )
            return
        self._seen[same] = f"{name}.{self.language}.md"
        self.names.append(name)
        self.files[f"{name}.{self.language}.md"] = text.encode()
        self.files |= {
            pictures[PLUGINFILE + key]: data
            for key, data in item.pictures.items()
            if PLUGINFILE + key in pictures
        }

    def describe(self, title: str) -> None:
        """Add the file that names the folder's title and order."""
        front = f"---\norder: [{', '.join(self.names)}]\n---\n"
        self.files[f"_quiz.{self.language}.md"] = f"{front}# {_title(title)}\n".encode()

    def write(self, folder: Path) -> list[Path]:
        """Create every file in `folder` and return their paths. Raises FileExistsError before the first."""
        taken = [folder / name for name in self.files if (folder / name).exists()]
        if taken:
            raise FileExistsError(str(taken[0]))
        folder.mkdir(parents=True, exist_ok=True)
        written: list[Path] = []
        try:
            for name, data in self.files.items():
                with (folder / name).open("xb") as file:
                    written.append(folder / name)
                    file.write(data)
        except BaseException:
            for path in written:
                path.unlink(missing_ok=True)
            raise
        return written

    def _name(self, item: Item) -> str:
        """Return a name for the file: what the question is called, else its number."""
        word = _slug(item.id.rpartition("/")[2]) or _slug(item.title)
        name = word or f"q{len(self.names) + 1:03}"
        number = 2
        while name in self.names or name == "readme":
            name, number = f"{word or 'q'}-{number}", number + 1
        return name

    def _pictures(self, item: Item, name: str, note: Note) -> dict[str, str]:
        """Return for each picture's address the name of its file."""
        pictures: dict[str, str] = {}
        for key in item.pictures:
            suffix = PurePosixPath(key).suffix.lower()
            if suffix not in IMAGE_TYPES:
                note(item.line, f'the file "{key}" of question "{item.title}" is no picture and is left out')
                continue
            stem = _slug(PurePosixPath(key).stem) or "picture"
            file = f"{name}-{stem}{suffix}" if not stem.startswith(name) else f"{stem}{suffix}"
            while file in pictures.values() or file in self.files:
                file = f"{PurePosixPath(file).stem}x{suffix}"
            pictures[PLUGINFILE + key] = file
        return pictures


def question_file(item: Item, language: str, pictures: Mapping[str, str], note: Callable[[str], None]) -> str:
    """Return an item as the text of a question file. `pictures`: address → file beside it."""

    def about(message: str) -> None:
        note(f'question "{item.title}": {message}')

    front = _front_matter(item, about)

    def markdown(html: str, level: int = 3, choice: bool = False) -> str:
        text = to_markdown(html, about, pictures=_spelled(pictures), heading=level, choice=choice)
        if CONTROL.search(html):
            about("characters that no text may hold are left out")
        return text

    lines = [f"---\n{front}---"] if front else []
    lines += [f"# {_title(item.title)}", heading("question", language), markdown(item.stem)]
    lines.append(heading("choices", language))
    letters = ascii_uppercase[: len(item.options)]
    for letter, option in zip(letters, item.options, strict=True):
        text = markdown(option.html, choice=True)
        lines.append(f"{letter}. {text}" if _begins_with_words(text) else f"{letter}.\n\n{text}")
    key = ", ".join(letter for letter, option in zip(letters, item.options, strict=True) if option.correct)
    lines += [heading("answer", language), key, heading("explanation", language)]
    feedback_parts = [
        (letter, option.feedback)
        for letter, option in zip(letters, item.options, strict=True)
        if option.feedback
    ]
    general = markdown(item.explanation)
    if not general and not feedback_parts:
        general = WORDS[language].no_explanation
        about("it has no explanation: write one")
    lines += [general] if general else []
    for letter, feedback in feedback_parts:
        if text := markdown(feedback, level=4):
            lines += [f"### {letter}", text]
    return "\n\n".join(lines) + "\n"


def _spelled(pictures: Mapping[str, str]) -> dict[str, str]:
    """Return the addresses as texts may spell them: a name with a space is written with `%20`."""
    spelled = dict(pictures)
    for address, file in pictures.items():
        spelled[PLUGINFILE + quote(address.removeprefix(PLUGINFILE))] = file
    return spelled


def _begins_with_words(markdown: str) -> bool:
    """Say whether a choice can follow its letter on the line; a list, a table or code cannot."""
    return re.match(r"[->#|]|\d+[.)]|```|\$\$|\* |\*\*\*$", markdown) is None


def _front_matter(item: Item, note: Callable[[str], None]) -> str:
    techniques: list[str] = []
    difficulty: int | None = None
    tags: list[str] = []
    for tag in item.tags:
        kind, _, value = tag.partition(":")
        if kind == "technique" and value in TECHNIQUES:
            techniques.append(value)
        elif kind == "difficulty" and value in ("1", "2", "3"):
            difficulty = int(value)
        elif tag and len(tag) <= 100 and len(tags) < MAX_TAGS:
            tags.append(CONTROL.sub("", tag))
        elif tag:
            note(f'the tag "{tag[:40]}" is left out: there are up to {MAX_TAGS}, of 100 characters')
    values: dict[str, object] = {}
    if techniques:
        values["techniques"] = list(dict.fromkeys(techniques))
    if difficulty:
        values["difficulty"] = difficulty
    if tags:
        values["tags"] = list(dict.fromkeys(tags))
    if item.single != (item.keys == 1):
        values["type"] = "multiple"
    if item.scoring != default_scoring(item.keys):
        values["scoring"] = item.scoring
    if not item.shuffle:
        values["shuffle"] = False
    if not values:
        return ""
    return yaml.safe_dump(values, allow_unicode=True, sort_keys=False, default_flow_style=None, width=100)


def _title(title: str) -> str:
    """Return a title for `# …`; hashes at its end would be taken for the heading's own."""
    title = CONTROL.sub("", re.sub(r"\s+", " ", title)).strip()
    return f"{title} #" if title.endswith("#") else title


def _slug(words: str) -> str:
    ascii_only = normalize("NFKD", words).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_only).strip("-")[:60].strip("-")


def _what(question: Question) -> tuple[str, ...]:
    return (comparable(question.stem.source), *sorted(comparable(c.text.source) for c in question.choices))


def import_plan(items: Iterable[Item], language: str, note: Note) -> ImportPlan:
    """Return what to write for these questions, checked."""
    made = ImportPlan(language)
    for item in items:
        made.add(item, note)
    return made
