"""Moodle XML, both ways. Pictures travel inside, as base64.

Moodle publishes no schema; what is written here is what its own reader asks for (qformat_xml). Reading
refuses document types and entities before a single one is expanded.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from html import escape
from io import BytesIO
from urllib.parse import quote, unquote
from xml.sax import SAXParseException
from xml.sax.handler import ContentHandler
from xml.sax.xmlreader import Locator

from defusedxml import DefusedXmlException
from defusedxml.sax import parse as safe_parse

from steelyard.exchange.export import MAX_PICTURE
from steelyard.exchange.grades import grades
from steelyard.exchange.item import PLUGINFILE, Item, Option, Reading
from steelyard.exchange.pictures import Pictures
from steelyard.exchange.reading import add, enter_category, number, to_html, true_or_false
from steelyard.exchange.tree import shortened, tree
from steelyard.exchange.xml import XmlWriter

MAX_DEPTH = 40
"""Elements within elements; Moodle needs six."""
NO_QTI = "this is QTI, which is written here and not read: import takes GIFT and Moodle XML, so convert it"
"""What to do with a file of Canvas's."""

Note = Callable[[Item, str], None]


# ---- writing -----------------------------------------------------------------------------------------------


def write(items: Sequence[Item], title: str, note: Note) -> bytes:
    """Return questions as a Moodle XML file; `note` is told what Moodle cannot hold of which."""
    xml = XmlWriter(cdata=True)
    with xml.within("quiz"):
        with xml.within("question", {"type": "category"}), xml.within("category"):
            # One slash would begin a subcategory.
            xml.leaf("text", "$course$/top/" + " ".join(title.split()).replace("/", "//"))
        for item in items:
            _question(xml, item, grades(item, partial(note, item)))
    return xml.bytes()


def _question(xml: XmlWriter, item: Item, percent: Sequence[str]) -> None:
    with xml.within("question", {"type": "multichoice"}):
        _named(xml, "name", item.title)
        for tag, html in (("questiontext", item.stem), ("generalfeedback", item.explanation)):
            with xml.within(tag, {"format": "html"}):
                _text(xml, html, item.pictures)
        for tag, value in (
            ("defaultgrade", "1"),
            ("penalty", "0.3333333"),
            ("hidden", "0"),
            ("idnumber", item.id),
            ("single", "true" if item.single else "false"),
            ("shuffleanswers", "true" if item.shuffle else "false"),
            ("answernumbering", "ABCD"),
        ):
            xml.leaf(tag, value)
        for option, grade in zip(item.options, percent, strict=True):
            with xml.within("answer", {"fraction": grade, "format": "html"}):
                _text(xml, option.html, item.pictures)
                with xml.within("feedback", {"format": "html"}):
                    _text(xml, option.feedback, item.pictures)
        if item.tags:
            with xml.within("tags"):
                for tag in item.tags:
                    _named(xml, "tag", tag)


def _named(xml: XmlWriter, tag: str, text: str) -> None:
    with xml.within(tag):
        xml.leaf("text", text)


def _text(xml: XmlWriter, html: str, pictures: Mapping[str, bytes]) -> None:
    """Write a text with the pictures that it shows."""
    xml.leaf("text", html)
    for address in dict.fromkeys(re.findall(re.escape(PLUGINFILE) + r'([^"]+)"', html)):
        if data := pictures.get(name := unquote(address)):
            file = {"name": name, "path": "/", "encoding": "base64"}
            xml.leaf("file", base64.b64encode(data).decode(), file)


# ---- reading -----------------------------------------------------------------------------------------------


@dataclass
class _Element:
    tag: str
    attributes: dict[str, str]
    line: int
    content: list[_Element | str] = field(default_factory=list)

    @property
    def children(self) -> list[_Element]:
        return [child for child in self.content if isinstance(child, _Element)]

    def all(self, tag: str) -> list[_Element]:
        return [child for child in self.children if child.tag == tag]

    def first(self, tag: str) -> _Element | None:
        return next((child for child in self.children if child.tag == tag), None)

    def inner(self) -> str:
        """Return what stands in this element; elements in it, which nobody escaped, as they were written."""
        if not any(isinstance(child, _Element) for child in self.content):
            return "".join(child for child in self.content if isinstance(child, str)).strip()
        return "".join(escape(c) if isinstance(c, str) else c.outer() for c in self.content).strip()

    def outer(self) -> str:
        attributes = "".join(f' {name}="{escape(value)}"' for name, value in self.attributes.items())
        return f"<{self.tag}{attributes}>{self.inner()}</{self.tag}>"

    def own(self) -> str:
        """Return the text of this element, whether or not it stands in a `<text>` of its own."""
        inner = self.first("text")
        if inner is not None:
            return inner.inner()
        return "".join(child for child in self.content if isinstance(child, str)).strip()

    def value(self, tag: str, default: str = "") -> str:
        """Return the text of a child."""
        child = self.first(tag)
        return default if child is None else child.own()

    def text_format(self, default: str) -> str:
        return self.attributes.get("format", default).strip() or default


class _TooDeep(Exception):  # noqa: N818 — never leaves this module
    pass


class _Handler(ContentHandler):
    def __init__(self) -> None:
        super().__init__()
        self.root: _Element | None = None
        self.open: list[_Element] = []
        self.locator: Locator | None = None

    def setDocumentLocator(self, locator: Locator) -> None:  # noqa: N802 — SAX's name
        self.locator = locator

    def line(self) -> int:
        return (self.locator.getLineNumber() if self.locator else None) or 1

    def startElement(self, name: str, attrs: object) -> None:  # noqa: N802 — SAX's name
        if len(self.open) >= MAX_DEPTH:
            raise _TooDeep
        element = _Element(name, dict(attrs.items()), self.line())  # type: ignore[attr-defined]
        if self.open:
            self.open[-1].content.append(element)
        else:
            self.root = element
        self.open.append(element)

    def endElement(self, name: str) -> None:  # noqa: N802 — SAX's name
        self.open.pop()

    def characters(self, content: str) -> None:
        if self.open:
            self.open[-1].content.append(content)


def read(data: bytes, language: str = "en") -> Reading:
    """Read a Moodle XML file. What is no question of choices, nor a true/false one, is noted and left out.

    `language` names the two choices of a true/false question.
    """
    reading = Reading()
    handler = _Handler()
    try:
        safe_parse(BytesIO(data), handler, forbid_dtd=True, forbid_entities=True, forbid_external=True)
    except SAXParseException as error:
        reading.error(error.getLineNumber() or 1, f"the file is not well-formed XML: {error.getMessage()}")
    except DefusedXmlException:
        reading.error(
            handler.line(), "the file has a document type or entities, which no Moodle XML has: refused"
        )
    except _TooDeep:
        reading.error(handler.line(), f"elements are nested more than {MAX_DEPTH} deep: refused")
    except (ValueError, LookupError) as error:  # an encoding that does not exist
        reading.error(1, f"the file cannot be read: {error}")
    root = handler.root
    if reading.errors or root is None:
        return reading
    if root.tag == "questestinterop" or root.tag == "manifest":
        reading.error(root.line, NO_QTI)
        return reading
    if root.tag != "quiz":
        reading.error(root.line, f"the file begins with <{root.tag}>; Moodle XML begins with <quiz>")
        return reading
    for element in root.children:
        if element.tag != "question":
            _leftover(element, reading, "")
        elif element.attributes.get("type") == "category":
            info = element.first("info")
            about = to_html(info.own(), info.text_format("html")) if info else ""
            enter_category(reading, element.line, element.value("category"), about)
        else:
            _Question(element, reading, language).read()
    return reading


class _Question:
    """One question while it is read."""

    def __init__(self, element: _Element, reading: Reading, language: str) -> None:
        self.element = element
        self.reading = reading
        self.language = language
        self.title = element.value("name")
        self.pictures = Pictures()
        stem = element.first("questiontext")
        self.text_format = stem.text_format("html") if stem else "html"

    def note(self, message: str) -> None:
        self.reading.note(self.element.line, f'question "{self.title}": {message}')

    def read(self) -> None:
        element = self.element
        kind = element.attributes.get("type", "")
        if kind not in ("multichoice", "truefalse"):
            why = f"its type is {kind or 'missing'}, not multichoice"
            self.reading.leave_out(element.line, self.title, why)
            return
        answers = element.all("answer")
        percent = [self.percent(answer) for answer in answers]
        options = [
            Option(self.html(answer), False, self.html(answer.first("feedback"))) for answer in answers
        ]
        single = shuffle = False
        if kind == "truefalse":
            options, percent = self.true_or_false(answers, options, percent)
            single = True
        else:
            single = not _is_false(element.value("single", "true"))
            shuffle = not _is_false(element.value("shuffleanswers", "false"))
        stem = self.html(element.first("questiontext")) + self.old_picture()
        item = Item(
            id=element.value("idnumber"),
            title=self.title,
            stem=stem,
            options=tuple(options),
            explanation=self.html(element.first("generalfeedback")),
            single=single,
            scoring="all-or-nothing",
            shuffle=shuffle,
            tags=self.tags(),
            pictures=self.pictures.files,
            line=element.line,
        )
        self.tell_losses()
        add(self.reading, item, percent)

    def html(self, text: _Element | None) -> str:
        """Return a text as HTML, its pictures by the names that they have in the whole question."""
        if text is None:
            return ""
        html = to_html(text.own(), text.text_format(self.text_format))
        return self.pictures.renamed(html, self.files(text))

    def percent(self, answer: _Element) -> float:
        fraction = answer.attributes.get("fraction", "0")
        value, rest = number(fraction)
        if value is None or not -100 <= value <= 100:
            self.reading.error(answer.line, f'the fraction "{fraction[:20]}" is no percentage')
            return 0
        if rest:
            self.note(f'the fraction "{fraction[:20]}" is read as {value:g}, as Moodle reads it')
        return value

    def true_or_false(
        self, answers: Sequence[_Element], options: Sequence[Option], percent: Sequence[float]
    ) -> tuple[list[Option], list[float]]:
        """Return the two choices; in old files they stand in this order, in the words of some language."""
        named = [answer.own().lower() for answer in answers]
        if len(answers) != 2 or (sorted(named) != ["false", "true"] and "true" in named[1:]):
            return list(options), list(percent)  # which is told as any other
        at = named.index("true") if "true" in named else 0
        feedback = [options[at].feedback, options[1 - at].feedback]
        correct = percent[at] == 100
        return list(true_or_false(correct, feedback[0], feedback[1], self.language)), [
            100 * correct,
            100 * (not correct),
        ]

    def files(self, text: _Element) -> dict[str, bytes]:
        """Return the files that belong to a text: path → content."""
        files: dict[str, bytes] = {}
        for file in text.all("file"):
            name = file.attributes.get("name", "")
            data = self.decoded(file, name)
            if data is not None:
                files.setdefault((file.attributes.get("path", "/") + name).strip("/"), data)
        return files

    def decoded(self, file: _Element, name: str) -> bytes | None:
        try:
            data = base64.b64decode("".join(file.own().split()), validate=True)
        except (binascii.Error, ValueError):
            self.reading.error(file.line, f'the embedded file "{name}" is not base64')
            return None
        if len(data) > MAX_PICTURE:
            limit = MAX_PICTURE // 2**20
            self.reading.error(file.line, f'the embedded file "{name}" is larger than {limit} MiB')
            return None
        return data

    def old_picture(self) -> str:
        """Return the picture that Moodle 1 put under a question."""
        name, file = self.element.value("image"), self.element.first("image_base64")
        if file is None or not name:
            if name:
                self.note(f'its picture "{shortened(name)}" is not in the file and is left out')
            return ""
        data = self.decoded(file, name)
        if not data:
            return ""
        found = self.pictures.add(name, data)
        return f' <img src="{PLUGINFILE}{quote(found)}" alt="">'

    def tags(self) -> tuple[str, ...]:
        listed = [*self.element.all("tags"), *self.element.all("coursetags")]
        return tuple(tag.own() for tags in listed for tag in tags.all("tag"))

    def tell_losses(self) -> None:
        """Tell what a question file has no place for. Moodle's own phrases are no loss."""
        mark = number(self.element.value("defaultgrade", "1"))[0]
        if mark != 1:
            shown = self.element.value("defaultgrade") if mark is None else f"{mark:g}"
            self.note(f"its mark of {shown[:20]} is left out: every question counts one point")
        for child in self.element.children:
            if child.tag in _COMBINED:
                if not _PHRASE.match(words := _words(child)):
                    self.note(f"its {child.tag} ({words}) is left out; only choices have feedback")
            elif child.tag == "hint":
                words = _words(child)
                self.note(f"its hint ({words}) is left out" if words else "its hints are left out")
            elif child.tag == "hidden" and not _is_false(child.own()):
                self.note("it was hidden in Moodle, and is not here")
            elif child.tag not in _READ:
                _leftover(child, self.reading, f'question "{self.title}": ')


_COMBINED = ("correctfeedback", "partiallycorrectfeedback", "incorrectfeedback")
_PHRASE = re.compile(r"(?:\"Your answer is (?:partially )?(?:in)?correct\.?\")?$")
_READ = {
    *("name", "questiontext", "generalfeedback", "answer", "single", "shuffleanswers", "idnumber", "tags"),
    *("coursetags", "image", "image_base64", "defaultgrade", "hidden"),
    # of how Moodle shows a question, and what a further try costs there
    *("penalty", "answernumbering", "showstandardinstruction", "shownumcorrect", "correctresponsesfeedback"),
}


def _is_false(value: str) -> bool:
    """Say whether Moodle takes a value for no."""
    return value.strip().lower() in ("false", "0", "")


def _words(text: _Element) -> str:
    """Return the words and pictures of a text as a message quotes them."""
    root = tree(to_html(text.own(), text.text_format("html")))
    pictures = [element.attributes for element in root.all() if element.tag == "img"]
    words = " ".join(root.text().split())
    named = [*([words] if words else []), *(image.get("alt", "") for image in pictures)]
    quoted = [f'"{shortened(part)}"' for part in named if part]
    files = [file.attributes.get("name", "") for file in text.all("file")]
    addresses = [*(image.get("src", "") for image in pictures), *files]
    names = dict.fromkeys(u if u.startswith("data:") else u.rpartition("/")[2] for u in addresses)
    return ", ".join([*quoted, *(f'the picture "{shortened(name)}"' for name in names if name)])


def _leftover(element: _Element, reading: Reading, about: str) -> None:
    """Tell an element that is not known, where it says something."""
    if words := " ".join(element.inner().split()):
        reading.note(element.line, f'{about}its <{element.tag}> ("{shortened(words)}") is left out')
