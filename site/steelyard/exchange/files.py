"""Items to question files: each is made as text and read back by the bank's own parser before it is written.

All or nothing: everything is made and checked before the first file is created, no file is ever overwritten,
and when one cannot be written those that were are taken away again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from string import ascii_uppercase
from unicodedata import normalize
from urllib.parse import quote

import yaml

from memlab.results.techniques import TECHNIQUES
from steelyard.bank.answer import comparable
from steelyard.bank.headings import heading
from steelyard.bank.model import Part, Question
from steelyard.bank.parse import CONTROL, parse
from steelyard.exchange.grades import default_scoring
from steelyard.exchange.item import PLUGINFILE, Item, Reading
from steelyard.exchange.markdown import to_markdown
from steelyard.exchange.reading import is_blank
from steelyard.exchange.tree import shortened
from steelyard.exchange.words import WORDS
from steelyard.markup.html import IMAGE_TYPES

MAX_TAGS = 50

_NO_EXPLANATION = "it has no explanation: write one"


@dataclass
class _Entry:
    """A question that will be written."""

    item: Item
    question: Question
    files: dict[str, bytes]
    notes: list[str]

    @property
    def telling(self) -> int:
        """How much it tells whoever has answered it."""
        if not self.item.explanation and not any(option.feedback for option in self.item.options):
            return 0
        texts = [*self.question.explanation, *(choice.feedback for choice in self.question.choices)]
        return sum(len(text.text.source if isinstance(text, Part) else text.source) for text in texts if text)


@dataclass
class ImportPlan:
    """What will be written, by name within the folder, and the questions among it."""

    language: str
    entries: dict[str, _Entry] = field(default_factory=dict)
    """Name without suffix → question, in order."""
    description: dict[str, bytes] = field(default_factory=dict)
    _seen: dict[tuple[str, ...], str] = field(default_factory=dict)
    _taken: dict[str, int] = field(default_factory=dict)
    """A name → the last number that was put behind it."""
    _pictures: set[str] = field(default_factory=set)

    @property
    def names(self) -> list[str]:
        """Of the questions, without suffix, in order."""
        return list(self.entries)

    @property
    def files(self) -> dict[str, bytes]:
        """File name → content."""
        made = {name: data for entry in self.entries.values() for name, data in entry.files.items()}
        return made | self.description

    def add(self, item: Item, reading: Reading) -> None:
        """Add a question with its pictures, or note why no question file can hold it."""
        name = self._name(item)
        pictures = self._named_pictures(item, name, reading)
        notes: list[str] = []
        text = question_file(item, self.language, pictures, notes.append)
        result = parse(text.encode(), f"{name}.{self.language}.md", name, self.language)
        errors = [problem.message for problem in result.problems if problem.is_error]
        if errors or result.question is None:
            reading.leave_out(item.line, item.title, f"as a question file, {errors[0]}")
            for message in notes:
                if not message.endswith(_NO_EXPLANATION):
                    reading.note(item.line, message)
            return
        files = {f"{name}.{self.language}.md": text.encode()}
        files |= {pictures[PLUGINFILE + k]: v for k, v in item.pictures.items() if PLUGINFILE + k in pictures}
        entry = _Entry(item, result.question, files, notes)
        same = _what(result.question)
        if same in self._seen:
            name = self._of_two(self._seen[same], name, entry, reading)
        else:
            self.entries[name] = entry
        self._seen[same] = name

    def _of_two(self, first: str, second: str, entry: _Entry, reading: Reading) -> str:
        """Keep of two questions that ask the same the one that tells more, and return its name."""
        other = self.entries[first]
        keys = [{comparable(c.text.source) for c in e.question.choices if c.correct} for e in (other, entry)]
        kept, kept_name, lost = other, first, entry
        if entry.telling > other.telling and keys[0] == keys[1]:
            kept, kept_name, lost = entry, second, other
            del self.entries[first]
            self.entries[second] = entry
        why = f"it asks the same as {kept_name}.{self.language}.md with the same choices"
        if keys[0] != keys[1]:
            right = ", ".join(c.text.source for c in lost.question.choices if c.correct)
            why += f'; it takes another answer for right, "{shortened(right)}"'
        elif lost.telling and _told(lost.question) != _told(kept.question):
            why += f'; its feedback differs, "{shortened(" ".join(_told(lost.question)))}"'
        reading.leave_out(lost.item.line, lost.item.title, why)
        return kept_name

    def describe(self, title: str, introduction: str = "") -> None:
        """Add the file that names the folder's title and order."""
        front = f"---\norder: [{', '.join(self.names)}]\n---\n"
        words = f"\n{introduction}\n" if introduction else ""
        self.description[f"_quiz.{self.language}.md"] = f"{front}# {_title(title)}\n{words}".encode()

    def write(self, folder: Path) -> list[Path]:
        """Create every file in `folder` and return their paths. Raises FileExistsError before the first."""
        files = self.files
        taken = [folder / name for name in files if (folder / name).exists()]
        if taken:
            raise FileExistsError(str(taken[0]))
        folder.mkdir(parents=True, exist_ok=True)
        written: list[Path] = []
        try:
            for name, data in files.items():
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
        name = word or f"q{len(self.entries) + 1:03}"
        word = word or "q"
        while name in self.entries or name == "readme":
            number = self._taken[word] = self._taken.get(word, 1) + 1
            name = f"{word}-{number}"
        return name

    def _named_pictures(self, item: Item, name: str, reading: Reading) -> dict[str, str]:
        """Return for each picture's address the name of its file."""
        pictures: dict[str, str] = {}
        for key in item.pictures:
            suffix = PurePosixPath(key).suffix.lower()
            if suffix not in IMAGE_TYPES:
                message = f'the file "{key}" of question "{item.title}" is no picture and is left out'
                reading.note(item.line, message)
                continue
            stem = _slug(PurePosixPath(key).stem) or "picture"
            stem = f"{name}-{stem}" if not stem.startswith(name) else stem
            file = f"{stem}{suffix}"
            while file in self._pictures:
                number = self._taken[stem] = self._taken.get(stem, 1) + 1
                file = f"{stem}-{number}{suffix}"
            self._pictures.add(file)
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
    general = "" if is_blank(item.explanation) else markdown(item.explanation)
    parts = [
        (letter, markdown(option.feedback, level=4))
        for letter, option in zip(letters, item.options, strict=True)
        if not is_blank(option.feedback)
    ]
    parts = [(letter, text) for letter, text in parts if text]
    if not general and not parts:
        general = WORDS[language].no_explanation
        about(_NO_EXPLANATION)
    lines += [general] if general else []
    for letter, text in parts:
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
        elif (word := CONTROL.sub("", tag)) and len(word) <= 100 and len(tags) < MAX_TAGS:
            tags.append(word)
        elif word:
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


def _told(question: Question) -> list[str]:
    return [part.text.source for part in question.explanation]


def import_plan(reading: Reading, language: str, title: str) -> ImportPlan:
    """Return what to write for the questions of a file, checked; its reading is told what is lost.

    `title` is the quiz's where the file names no category.
    """
    made = ImportPlan(language)
    several = len({item.category for item in reading.items}) > 1
    for item in reading.items:
        if several and item.category:
            item = replace(item, tags=(*item.tags, item.category))
        made.add(item, reading)
    for entry in made.entries.values():
        for message in entry.notes:
            reading.note(entry.item.line, message)
    for category, line in reading.categories.items():
        if several:
            message = f'the category "{category}" becomes a tag of its questions: one import makes one quiz'
            reading.note(line, message)
        elif "/" in category and category.replace("//", "/") != reading.title:
            message = f'of the category "{category}" the quiz has the title "{reading.title}"'
            reading.note(line, message)
    if made.names:
        about = lambda message: reading.note(1, f"the category's description: {message}")  # noqa: E731
        introduction = "" if is_blank(reading.introduction) else to_markdown(reading.introduction, about)
        made.describe(reading.title or title, introduction)
    return made
