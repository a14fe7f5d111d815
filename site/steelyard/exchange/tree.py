"""HTML, however careless, to a small tree. Nothing is run or loaded.

Banks hold words that a browser would take for elements and drop: `vector<int>`, "the <head> section". Here
they stay words, and what is dropped all the same is told. Each character is read once: Python's own parser,
which loses such words too, takes a minute for 60,000 tags that never end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html import unescape

from steelyard.bank.parse import CONTROL

MAX_DEPTH = 60
"""Elements within elements; of those that lie deeper only the words stay."""

Note = Callable[[str], None]


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


BLOCKS = _names(
    "address article aside blockquote caption center dd details dir div dl dt fieldset figcaption figure "
    "footer form h1 h2 h3 h4 h5 h6 header hgroup hr legend li main menu nav ol option p pre section summary "
    "table tbody td tfoot th thead tr ul"
)
"""Elements that stand on lines of their own."""
_KNOWN = BLOCKS | _names(
    "a abbr acronym applet area audio b base basefont bdi bdo big blink br button canvas cite code col "
    "colgroup data datalist del dfn dialog em embed font i iframe image img input ins kbd keygen label link "
    "map mark marquee math meta meter nobr noscript object optgroup output param picture progress q rb rp rt "
    "rtc ruby s samp script select slot small source span strike strong style sub sup svg template textarea "
    "time track tt u var video wbr"
)
_DOCUMENT = _names("html head body title frame frameset noframes")
"""Elements only of a whole page; in any other text they are words."""
_VOID = _names("area base br col embed hr image img input keygen link meta param source track wbr")
_NOTHING_BARE = _VOID - {"br", "hr", "wbr", "col"}
"""Elements that mean nothing without an attribute: without one they are words."""
_CLOSED = _names(
    "applet audio button canvas datalist dialog fieldset form iframe marquee math meter noscript object "
    "progress script select style svg table template textarea title video"
)
"""Elements that nobody leaves open: where the text has no closing tag of theirs, they are words."""
_PHRASE = _names("a b big code del em font i ins kbd mark pre q s samp small strike strong sub sup tt u var")
_RAW = {"script", "style"}
_FLAGS = _names(
    "allowfullscreen async autoplay checked compact controls default defer disabled download hidden ismap "
    "loop multiple muted nohref noshade novalidate nowrap open readonly required reversed selected"
)
"""Attributes that stand without a value."""
_ENDS: dict[str, set[str]] = {
    "li": {"li"},
    "p": {"p"},
    "td": {"td", "th"},
    "th": {"td", "th"},
    "tr": {"tr", "td", "th"},
    "dt": {"dt", "dd"},
    "dd": {"dt", "dd"},
    "option": {"option"},
}
"""An opening tag → the open elements that it ends, as browsers read it."""
_HOLDS = {"ul", "ol", "table", "blockquote", "div", "td", "th", "li", "dl"}
"""An element outside these is not ended by a tag within them."""
_PARTS = {"ul", "ol", "dl", "table", "thead", "tbody", "tfoot", "tr", "math", "svg"}
"""Elements whose children are no words."""

_NAME = re.compile(r"<(/?)([A-Za-z][^\s/<>\"'=]*)")
_ATTRIBUTE = re.compile(
    r"(?P<space>[\s/]*)(?:(?P<end>>)|(?P<name>[^\s/<>=]+)"
    r"(?:\s*=\s*(?:\"(?P<double>[^\"]*)\"|'(?P<single>[^']*)'|(?P<bare>[^\s>]*)))?)"
)
_KEEPS_LINES = re.compile(r"white-space:\s*(?:pre|break-spaces)", re.IGNORECASE)
_OFFICE = re.compile(r"(?:[mopuvwx]|st)\d*:\w+|w:[\w-]+")
"""Elements that Word leaves in what is pasted from it."""
_EDITOR = re.compile(r"<(?:!\[(?:if|endif)\b|\?xml\b)[^<>]*>", re.IGNORECASE)
"""Instructions that Word leaves there."""
_EDITOR_OF_PAGE = re.compile(r"<(?:!\[(?:if|endif)\b|\?xml\b|!doctype\b)[^<>]*>", re.IGNORECASE)
_PAGE = re.compile(r"\s*(?:<!doctype|<html|<head|<body)\b", re.IGNORECASE)
_PAGE_ENDS = re.compile(r"</(?:html|head|body)\s*>", re.IGNORECASE)


@dataclass
class Element:
    """An element of an HTML document, with its children in order."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Element | str] = field(default_factory=list)

    def text(self) -> str:
        """Return the text of this element and all below it, as it stands."""
        return "".join(child if isinstance(child, str) else child.text() for child in self.children)

    def all(self) -> Iterator[Element]:
        """Yield the elements below this one, in order."""
        for child in self.children:
            if isinstance(child, Element):
                yield child
                yield from child.all()

    @property
    def holds_block(self) -> bool:
        """Whether an element that stands on lines of its own lies below this one."""
        return any(element.tag in BLOCKS for element in self.all())


def tree(html: str, note: Note = lambda message: None) -> Element:
    """Return the elements of a text; the root's tag is empty. `note` is told of what is dropped."""
    builder = _Builder(html, note)
    builder.build()
    return builder.root


class _Builder:
    def __init__(self, html: str, note: Note) -> None:
        self.html = html
        self.note = note
        self.root = Element("")
        self.open = [self.root]
        self.too_deep: list[str] = []
        self.opened: set[str] = set()
        closing = re.finditer(r"</([A-Za-z][^\s/<>]*)", html)
        self.closed = {match[1].lower(): match.start() for match in closing}
        """Name → where its last closing tag stands."""
        self.last_comment_end = html.rfind("-->") - 3
        self.is_page = bool(_PAGE.match(html) and _PAGE_ENDS.search(html))

    def build(self) -> None:
        at = 0
        while (start := self.html.find("<", at)) >= 0:
            self.text(self.html[at:start])
            at = self.markup(start)
        self.text(self.html[at:])
        for element in self.open[1:]:
            if element.tag in _PHRASE and element.tag not in self.closed:
                self.note(f"<{element.tag}> is never closed: as a word it is written &lt;{element.tag}>")

    def text(self, html: str) -> None:
        if not html:
            return
        lines = [CONTROL.sub("", unescape(html))]
        styles = [element.attributes["style"] for element in self.open if "style" in element.attributes]
        if "\n" in html and any(_KEEPS_LINES.search(style) for style in styles):
            lines = lines[0].split("\n")
        for line in lines[:-1]:
            self.open[-1].children += [line, Element("br")]
        self.open[-1].children.append(lines[-1])

    def markup(self, at: int) -> int:
        """Read what begins with a `<`, and return where it ends; what is no markup is text."""
        if match := _NAME.match(self.html, at):
            return self.tag(match)
        if self.html.startswith("<!--", at) and at < self.last_comment_end:
            end = self.html.find("-->", at + 4)
            words = " ".join(self.html[at + 4 : end].split())
            if words and not words.startswith("["):  # a condition of Word's
                self.note(f'the comment "{shortened(words)}" is left out')
            return end + 3
        instruction = _EDITOR_OF_PAGE if self.is_page else _EDITOR
        if match := instruction.match(self.html, at):
            return match.end()
        self.text("<")
        return at + 1

    def tag(self, match: re.Match[str]) -> int:
        name, begin, at = match[2].lower(), match.start(), match.end()
        attributes: dict[str, str] = {}
        alone: set[str] = set()
        found = None
        while found is None or not found["end"]:
            found = _ATTRIBUTE.match(self.html, at)
            if found is None:  # a "<", or the end: this is no tag
                stop = self.html.find("<", at)
                stop = len(self.html) if stop < 0 else stop
                self.text(self.html[begin:stop])
                return stop
            at = found.end()
            if found["name"]:
                values = [found[kind] for kind in ("double", "single", "bare")]
                value = next((value for value in values if value is not None), None)
                attributes.setdefault(found["name"].lower(), CONTROL.sub("", unescape(value or "")))
                if value is None:
                    alone.add(found["name"].lower())
        if not self.is_markup(name, begin, attributes, alone - _FLAGS):
            self.text(self.html[begin:at])
        elif match[1]:
            self.end(name)
        elif name in _RAW:
            return self.raw(name, at)
        else:
            self.start(name, attributes)
            if found["space"].endswith("/") and name not in _VOID:
                self.end(name)
        return at

    def is_markup(self, name: str, at: int, attributes: dict[str, str], alone: set[str]) -> bool:
        if any(element.tag in ("math", "svg") for element in self.open):
            return True
        if name in _DOCUMENT:
            return self.is_page
        if name not in _KNOWN:
            return _OFFICE.fullmatch(name) is not None
        if alone or (name in _NOTHING_BARE and not attributes):
            return False
        return name not in _CLOSED or self.closed.get(name, -1) >= at

    def raw(self, name: str, at: int) -> int:
        """Leave out a script or a style sheet, and tell it."""
        match = re.compile(rf"</{name}[^<>]*>", re.IGNORECASE).search(self.html, at)
        end = match.start() if match else len(self.html)
        if words := " ".join(self.html[at:end].split()):
            self.note(f'the <{name}> "{shortened(words)}" is left out')
        return match.end() if match else end

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.opened.add(name)
        if name in ("meta", "link", "base"):
            shown = " ".join(f'{key}="{value}"' for key, value in attributes.items())
            self.note(f"the <{name}> {shortened(shown)} is left out")
            return
        self.end_implied(name)
        if len(self.open) >= MAX_DEPTH and name not in _VOID:
            if not self.too_deep:
                self.note(f"elements lie more than {MAX_DEPTH} deep: of the inner ones the words stay")
            self.too_deep.append(name)
            return
        self.push(Element("img" if name == "image" else name, attributes), name in _VOID)
        if name not in _VOID and name not in _PARTS and name != "pre":
            for mark in _marks(attributes.get("style", "")):
                if len(self.open) < MAX_DEPTH:
                    self.push(Element(mark), False)

    def push(self, element: Element, is_void: bool) -> None:
        self.open[-1].children.append(element)
        if not is_void:
            self.open.append(element)

    def end_implied(self, name: str) -> None:
        for index in range(len(self.open) - 1, 0, -1):
            if self.open[index].tag in _ENDS.get(name, ()):
                del self.open[index:]
                self.too_deep.clear()
                return
            if self.open[index].tag in _HOLDS:
                return

    def end(self, name: str) -> None:
        if self.too_deep:
            if self.too_deep[-1] == name:
                self.too_deep.pop()
            if name not in _HOLDS or name in self.too_deep:
                return
        if name == "br":  # as browsers read </br>
            self.push(Element("br"), True)
            return
        for index in range(len(self.open) - 1, 0, -1):
            if self.open[index].tag == name:
                del self.open[index:]
                self.too_deep.clear()
                return
        if name not in self.opened:
            self.note(f"</{name}> closes nothing and is left out")


def _marks(style: str) -> list[str]:
    """Return the elements that look as a style sheet's words do."""
    looks = {key: value.lower() for key, value in _declarations(style).items()}
    weight = looks.get("font-weight", "")
    lines = looks.get("text-decoration", "") + looks.get("text-decoration-line", "")
    return [
        mark
        for mark, applies in (
            ("strong", weight in ("bold", "bolder") or (weight.isdecimal() and int(weight[:4]) >= 600)),
            ("em", looks.get("font-style") in ("italic", "oblique")),
            ("u", "underline" in lines),
            ("s", "line-through" in lines),
            ("sub", looks.get("vertical-align") == "sub"),
            ("sup", looks.get("vertical-align") == "super"),
        )
        if applies
    ]


def lost_looks(element: Element) -> list[tuple[str, str]]:
    """Return what of an element's looks no Markdown holds and a question may speak of: name and value."""
    looks = _declarations(element.attributes.get("style", ""))
    color = looks.get("color") or (element.attributes.get("color", "") if element.tag == "font" else "")
    behind = looks.get("background-color") or looks.get("background") or element.attributes.get("bgcolor", "")
    face = looks.get("font-family") or (element.attributes.get("face", "") if element.tag == "font" else "")
    hidden = looks.get("display", "").lower() == "none" or looks.get("visibility", "").lower() == "hidden"
    found = [
        ("colour", "" if _PLAIN_COLOUR.fullmatch(color) else color),
        ("background", "" if _PLAIN_GROUND.fullmatch(behind) else behind),
        ("font", face if re.search(r"mono|courier|consolas|menlo", face, re.IGNORECASE) else ""),
        ("being hidden", "it is shown" if hidden or "hidden" in element.attributes else ""),
        ("capitals", looks.get("text-transform", "") if looks.get("text-transform") != "none" else ""),
    ]
    return [(name, value) for name, value in found if value]


_PLAIN_COLOUR = re.compile(
    r"(?:black|windowtext|inherit|initial|unset|currentcolor|var\(.*|#0{3}|#0{6}|rgba?\(0, ?0, ?0.*|"
    r"#(?:[0-3][0-9a-f]){3}|rgba?\((?:[0-5]?\d, ?){2}[0-5]?\d[,)].*|)(?: ?!important)?",
    re.IGNORECASE,
)
"""Black, and what is as dark: the colour of text that has none."""
_PLAIN_GROUND = re.compile(
    r"(?:white|transparent|none|inherit|initial|unset|#f{3}|#f{6}|rgb\(255, ?255, ?255\).*|rgba\(.*, ?0\)|)"
    r"(?: ?!important| repeat scroll 0% 0%)?",
    re.IGNORECASE,
)


def _declarations(style: str) -> dict[str, str]:
    pairs = [part.partition(":") for part in style.split(";")[:50]]
    return {key.strip().lower(): value.strip()[:100] for key, _, value in pairs}


def shortened(words: str) -> str:
    """Return words as a message quotes them."""
    return words if len(words) <= 40 else f"{words[:40]}…"
