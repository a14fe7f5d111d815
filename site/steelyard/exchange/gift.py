r"""GIFT, Moodle's text format, both ways, as Moodle itself reads and writes it.

    // [id:lora/rank] [tag:memory]
    ::Title::[html]<p>Stem</p>{
        =<p>right</p>#feedback
        ~wrong
        ####explanation
    }

`=` begins a right and `~` a wrong choice; with checkboxes each is `~%50%…`, a percentage. `{T#wrong#right}`
is a true/false question. A backslash makes plain what would mean something else (`~ = # { } :` and itself),
`\n` is a line break. A blank line ends a question.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import partial

from steelyard.exchange.grades import grades
from steelyard.exchange.item import Item, Option, Reading
from steelyard.exchange.reading import add, enter_category, number, to_html, true_or_false
from steelyard.exchange.tree import shortened

_ESCAPES = str.maketrans({char: f"\\{char}" for char in "\\~=#{}:"} | {"\n": "\\n", "\r": ""})
_WEIGHT = re.compile(r"\s*%(-?\d+(?:\.\d*)?)%")
_NO_WEIGHT = re.compile(r"\s*%[-+\d.,eE]+%")
_FORMAT = re.compile(r"\[(html|moodle|plain|markdown)\]")
_TAG = re.compile(r"\[(id|tag):((?:\\\]|[^\]\x00-\x1f])+)\]")
_SPECIAL = "~=#{}:"
_TRUE, _FALSE = ("T", "TRUE"), ("F", "FALSE")

Note = Callable[[Item, str], None]


def write(items: Sequence[Item], title: str, note: Note) -> str:
    """Return questions as a GIFT file; `note` is told what GIFT cannot hold of which."""
    category = re.sub(r"\s+", " ", title).replace("/", "//")  # one slash would begin a subcategory
    return "\n".join([f"$CATEGORY: {category}\n", *(_written(item, note) for item in items)])


def _written(item: Item, note: Note) -> str:
    marks = [f"~%{grade}%" if grade != "0" else "~" for grade in grades(item, partial(note, item))]
    if not item.shuffle:
        note(item, "GIFT cannot hold shuffle: false")
    right = [option.correct for option in item.options]
    if item.single or sum(right) == 1:
        if not item.single:
            note(
                item,
                "GIFT has no checkboxes for a single right choice: radio buttons, all or nothing, instead",
            )
            marks = ["~"] * len(marks)
        marks = ["=" if correct else mark for correct, mark in zip(right, marks, strict=True)]
    named = [("id", item.id), *(("tag", tag) for tag in item.tags)]
    comment = " ".join(f"[{kind}:{_comment(value)}]" for kind, value in named if value)
    lines = [f"// {comment}"] if comment else []
    lines.append(f"::{item.title.translate(_ESCAPES)}::[html]{item.stem.translate(_ESCAPES)}{{")
    for option, mark in zip(item.options, marks, strict=True):
        feedback = f"#{_text(option.feedback)}" if option.feedback else ""
        lines.append(f"\t{mark}{_text(option.html)}{feedback}")
    if item.explanation:
        lines.append(f"\t####{_text(item.explanation)}")
    return "\n".join([*lines, "}", ""])


def _text(html: str) -> str:
    """Escape a text of the answers. At its beginning a bracket would name a format, and `%` a weight."""
    if html.startswith("%"):
        html = f"&#37;{html[1:]}"
    return ("[html]" if html.startswith("[") else "") + html.translate(_ESCAPES)


def _comment(value: str) -> str:
    return re.sub(r"[\x00-\x1f<>`]", " ", value).replace("]", "\\]")


# ---- reading -----------------------------------------------------------------------------------------------


def read(text: str, language: str = "en") -> Reading:
    """Read a GIFT file. What is no question of choices, nor a true/false one, is noted and left out.

    `language` names the two choices of a true/false question.
    """
    reading = Reading()
    block: list[str] = []
    for row, line in enumerate([*text.split("\n"), ""], 1):
        if line.strip():
            block.append(line)
        elif block:
            _read(block, row - len(block), reading, language)
            block = []
    return reading


def _read(lines: Sequence[str], first: int, reading: Reading, language: str) -> None:
    """Read the lines between two blank ones: categories, and below them a question."""
    for row, line in enumerate(lines):
        words = line.strip()
        if words.startswith("$CATEGORY:"):
            path = re.sub(r"\\([~=#{}:\\])", r"\1", words.removeprefix("$CATEGORY:"))
            enter_category(reading, first + row, path)
        elif words and not words.startswith("//"):
            _Block([*[""] * row, *lines[row:]], lines[:row], first, reading, language).read()
            return


class _Block:
    """One question: the lines between two blank ones."""

    def __init__(
        self, lines: Sequence[str], above: Sequence[str], first: int, reading: Reading, language: str
    ) -> None:
        self.reading = reading
        self.language = language
        self.first = first
        listed = [line.strip() for line in (*above, *lines)]
        self.comments = [line for line in listed if line.startswith("//")]
        source = "\n".join("" if line.strip().startswith("//") else line for line in lines)
        self.starts = [0]
        self.text = ""
        """The characters, escapes resolved."""
        self.marks = ""
        """As many: those that mean something in GIFT, and a blank for every other."""
        self.unescape(source)

    def unescape(self, source: str) -> None:
        text: list[str] = []
        marks: list[str] = []
        at = 0
        while at < len(source):
            char = source[at]
            after = source[at + 1 : at + 2]
            if char == "\\" and after and after in "\\n" + _SPECIAL:
                text.append("\n" if after == "n" else after)
                marks.append(" ")
                at += 2
                continue
            if char == "\\":
                self.broken_escape(len(self.starts), after)
            text.append(char)
            marks.append(char if char in _SPECIAL else " ")
            at += 1
            if char == "\n":
                self.starts.append(len(text))
        self.text, self.marks = "".join(text), "".join(marks)

    def broken_escape(self, row: int, after: str) -> None:
        shown = f"\\{after}" if after.strip() else "a backslash at the end of a line"
        self.reading.note(
            self.first + row - 1,
            f"{shown} is no escape of GIFT and stays as it stands; a backslash is written \\\\",
        )

    def line(self, at: int) -> int:
        return self.first + bisect_right(self.starts, at) - 1

    def read(self) -> None:
        begin = len(self.text) - len(self.text.lstrip())
        title, line = "", self.line(begin)
        if self.marks.startswith("::", begin):
            end = self.marks.find("::", begin + 2)
            if end < 0:
                self.reading.error(
                    self.line(begin), 'the title that "::" begins is not closed with another "::"'
                )
                return
            title, begin = self.text[begin + 2 : end].strip(), end + 2
        opening, closing = self.marks.find("{", begin), self.marks.find("}", begin)
        if not self.balanced(begin):
            return
        if opening < 0:
            self.skipped(line, title, "a description without answers")
            return
        tail = self.text[closing + 1 :].rstrip()
        stem = (self.text[begin:opening] + (f"_____{tail}" if tail else "")).strip()
        self.question(line, title, stem, opening + 1, closing)

    def balanced(self, begin: int) -> bool:
        """Report a brace that has no partner, or a second pair."""
        opened: int | None = None
        pairs = 0
        for match in re.finditer("[{}]", self.marks[begin:]):
            at = begin + match.start()
            if match[0] == "{" and (opened is not None or pairs):
                self.reading.error(self.line(at), 'a second "{" in one question: as text it is written \\{')
                return False
            if match[0] == "}" and opened is None:
                self.reading.error(self.line(at), '"}" closes nothing: as text it is written \\}')
                return False
            opened, pairs = (at, pairs) if match[0] == "{" else (None, pairs + 1)
        if opened is not None:
            self.reading.error(
                self.line(opened), '"{" is not closed before the blank line that ends the question'
            )
        return opened is None

    def skipped(self, line: int, title: str, what: str) -> None:
        self.reading.leave_out(line, title, f"it is {what}, not single or multiple choice")

    def question(self, line: int, title: str, stem: str, begin: int, end: int) -> None:
        general = self.marks.rfind("####", begin, end)
        answers = general if general >= 0 else end
        body = self.text[begin:answers].strip()
        text_format, stem = _format(stem, "moodle")
        first_hash = self.marks.find("#", begin, answers)
        word = self.text[begin : answers if first_hash < 0 else first_hash].strip().upper()
        percent: list[float]
        if body.startswith("#") and self.marks[begin:answers].strip().startswith("#"):
            self.skipped(line, title, "a numerical question")
            return
        if "~" in self.marks[begin:answers]:
            markers = [begin + match.start() for match in re.finditer("[~=]", self.marks[begin:answers])]
            if self.text[begin : markers[0]].strip():
                self.reading.error(self.line(begin), 'before the first choice stands text without "=" or "~"')
                return
            weighted = [
                self.choice(at, stop, text_format)
                for at, stop in zip(markers, [*markers[1:], answers], strict=True)
            ]
            single, shuffle = any(self.marks[at] == "=" for at in markers), True
            options = tuple(Option(html, weight > 0, feedback) for html, weight, feedback in weighted)
            percent = [weight for _, weight, _ in weighted]
        elif word in (*_TRUE, *_FALSE):
            feedback = self.true_false_feedback(begin, answers, text_format)
            if word in _TRUE:
                feedback.reverse()
            options = true_or_false(word in _TRUE, feedback[0], feedback[1], self.language)
            single, shuffle, percent = True, False, [100.0 * option.correct for option in options]
        else:
            self.skipped(line, title, _kind(body))
            return
        explanation = self.text[general + 4 : end] if general >= 0 else ""
        names = [match for comment in self.comments for match in _TAG.findall(comment)]
        add(
            self.reading,
            Item(
                id=next((value for kind, value in names if kind == "id"), "").replace("\\]", "]").strip(),
                title=title,
                stem=to_html(stem, text_format),
                options=options,
                explanation=to_html(*reversed(_format(explanation, text_format))),
                single=single,
                scoring="all-or-nothing",
                shuffle=shuffle,
                tags=tuple(value.replace("\\]", "]").strip() for kind, value in names if kind == "tag"),
                line=line,
            ),
            percent,
        )

    def true_false_feedback(self, begin: int, end: int, text_format: str) -> list[str]:
        """Return the feedback for the wrong and for the right answer as HTML."""
        at = self.marks.find("#", begin, end)
        second = self.marks.find("#", at + 1, end) if at >= 0 else -1
        wrong = self.text[at + 1 : end if second < 0 else second] if at >= 0 else ""
        right = self.text[second + 1 : end] if second >= 0 else ""
        return [to_html(*reversed(_format(words, text_format))) for words in (wrong, right)]

    def choice(self, at: int, stop: int, text_format: str) -> tuple[str, float, str]:
        """Return a choice's text and feedback as HTML, with its percentage between them."""
        weight = 100.0 if self.marks[at] == "=" else 0.0
        begin = at + 1
        if self.marks[at] == "~" and (match := _WEIGHT.match(self.text, begin, stop)):
            weight, begin = number(match[1])[0] or 0.0, match.end()
        elif match := _NO_WEIGHT.match(self.text, begin, stop):
            message = f'"{shortened(match[0].strip())}" is no weight of GIFT and stays as it stands'
            self.reading.note(self.line(at), message)
        feedback = self.marks.find("#", begin, stop)
        words = self.text[begin : stop if feedback < 0 else feedback]
        feedback_text = self.text[feedback + 1 : stop] if feedback >= 0 else ""
        return (
            to_html(*reversed(_format(words, text_format))),
            weight,
            to_html(*reversed(_format(feedback_text, text_format))),
        )


def _kind(body: str) -> str:
    if not body:
        return "an essay"
    return "a matching question" if "->" in body else "a short-answer question"


def _format(text: str, default: str) -> tuple[str, str]:
    """Return the format that a text names at its beginning, and the rest of it."""
    text = text.strip()
    match = _FORMAT.match(text)
    return (match[1], text[match.end() :].strip()) if match else (default, text)
