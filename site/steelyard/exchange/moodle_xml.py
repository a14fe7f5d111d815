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
from io import BytesIO
from urllib.parse import unquote
from xml.sax import SAXParseException
from xml.sax.handler import ContentHandler
from xml.sax.xmlreader import Locator

from defusedxml import DefusedXmlException
from defusedxml.sax import parse as safe_parse

from steelyard.exchange.export import MAX_PICTURE
from steelyard.exchange.grades import grades
from steelyard.exchange.item import PLUGINFILE, Item, Option, Reading
from steelyard.exchange.reading import add, to_html
from steelyard.exchange.xml import XmlWriter

MAX_DEPTH = 40
"""Elements within elements; Moodle needs six."""

Note = Callable[[Item, str], None]


# ---- writing -----------------------------------------------------------------------------------------------


def write(items: Sequence[Item], title: str, note: Note) -> bytes:
    """Return questions as a Moodle XML file; `note` is told what Moodle cannot hold of which."""
    xml = XmlWriter()
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
    children: list[_Element] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)

    def all(self, tag: str) -> list[_Element]:
        return [child for child in self.children if child.tag == tag]

    def first(self, tag: str) -> _Element | None:
        return next(iter(self.all(tag)), None)

    def value(self, tag: str, default: str = "") -> str:
        """Return the text of a child, whether or not it stands in a `<text>` of its own."""
        child = self.first(tag)
        if child is None:
            return default
        inner = child.first("text")
        return "".join((inner or child).pieces).strip()

    def html(self) -> str:
        """Return the text that this element holds, in the format that it names."""
        text_format = self.attributes.get("format", "moodle_auto_format")
        return to_html(self.value("text"), text_format)


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
            self.open[-1].children.append(element)
        else:
            self.root = element
        self.open.append(element)

    def endElement(self, name: str) -> None:  # noqa: N802 — SAX's name
        self.open.pop()

    def characters(self, content: str) -> None:
        if self.open:
            self.open[-1].pieces.append(content)


def read(data: bytes) -> Reading:
    """Read a Moodle XML file. What is neither single nor multiple choice is noted and left out."""
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
    if root.tag != "quiz":
        reading.error(root.line, f"the file begins with <{root.tag}>; Moodle XML begins with <quiz>")
        return reading
    for question in root.all("question"):
        _read(question, reading)
    return reading


def _read(question: _Element, reading: Reading) -> None:
    kind = question.attributes.get("type", "")
    title = question.value("name")
    if kind == "category":
        path = [part for part in re.split(r"(?<!/)/(?!/)", question.value("category")) if part]
        if path and reading.title is None and path[-1] not in ("$course$", "top"):
            reading.title = path[-1].replace("//", "/")
        return
    if kind != "multichoice":
        name = f' "{title}"' if title else ""
        reading.note(
            question.line, f"question{name} is left out: its type is {kind or 'missing'}, not multichoice"
        )
        return
    answers = question.all("answer")
    percent = []
    for answer in answers:
        fraction = answer.attributes.get("fraction", "0")
        if not re.fullmatch(r"-?\d{1,3}(\.\d{1,10})?", fraction.strip()):
            reading.error(answer.line, f'the fraction "{fraction[:20]}" is no percentage')
            return
        percent.append(float(fraction))
    texts = {tag: element for tag in ("questiontext", "generalfeedback") if (element := question.first(tag))}
    feedback = [answer.first("feedback") for answer in answers]
    _combined(question, reading, title)
    names = question.first("tags")
    add(
        reading,
        Item(
            id=question.value("idnumber"),
            title=title,
            stem=texts["questiontext"].html() if "questiontext" in texts else "",
            options=tuple(
                Option(answer.html(), False, response.html() if response else "")
                for answer, response in zip(answers, feedback, strict=True)
            ),
            explanation=texts["generalfeedback"].html() if "generalfeedback" in texts else "",
            single=question.value("single", "true").lower() in ("true", "1"),
            scoring="all-or-nothing",
            shuffle=question.value("shuffleanswers", "true").lower() in ("true", "1"),
            tags=tuple("".join((tag.first("text") or tag).pieces).strip() for tag in names.all("tag"))
            if names
            else (),
            pictures=_pictures(
                [*texts.values(), *answers, *(response for response in feedback if response)], reading
            ),
            line=question.line,
        ),
        percent,
    )


def _combined(question: _Element, reading: Reading, title: str) -> None:
    """Feedback for "any right answer" has no place here; Moodle's own phrases are no loss."""
    for tag in ("correctfeedback", "partiallycorrectfeedback", "incorrectfeedback"):
        words = re.sub(r"<[^>]*>", "", question.value(tag)).strip()
        if words and not re.match(r"Your answer is (partially )?(in)?correct\.?$", words):
            reading.note(
                question.line,
                f'question "{title}": its {tag} ("{words[:40]}") is left out; only choices have feedback',
            )
    if question.all("hint"):
        reading.note(question.line, f'question "{title}": its hints are left out')


def _pictures(elements: Sequence[_Element], reading: Reading) -> dict[str, bytes]:
    pictures: dict[str, bytes] = {}
    for element in elements:
        for file in element.all("file"):
            name = file.attributes.get("name", "")
            try:
                data = base64.b64decode("".join("".join(file.pieces).split()), validate=True)
            except (binascii.Error, ValueError):
                reading.error(file.line, f'the embedded file "{name}" is not base64')
                continue
            if len(data) > MAX_PICTURE:
                reading.error(
                    file.line, f'the embedded file "{name}" is larger than {MAX_PICTURE // 2**20} MiB'
                )
                continue
            if pictures.setdefault(name, data) != data:
                reading.error(file.line, f'two different embedded files of one question are named "{name}"')
    return pictures
