"""HTML, however careless, to a small tree, by the standard library's parser. Nothing is run or loaded."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

from steelyard.bank.parse import CONTROL

MAX_DEPTH = 60
"""Elements within elements; what lies deeper counts as text of the deepest."""

_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
_DROPPED = {"script", "style", "title", "template", "iframe", "object", "noscript", "svg", "math", "head"}
_ENDS: dict[str, set[str]] = {
    "li": {"li"},
    "p": {"p"},
    "td": {"td", "th"},
    "th": {"td", "th"},
    "tr": {"tr", "td", "th"},
    "dt": {"dt", "dd"},
    "dd": {"dt", "dd"},
}
"""An opening tag → the open elements that it ends, as browsers read it."""
_HOLDS = {"ul", "ol", "table", "blockquote", "div", "td", "th", "li", "dl"}
"""An element outside these is not ended by a tag within them."""


@dataclass
class Element:
    """An element of an HTML document, with its children in order."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Element | str] = field(default_factory=list)

    def text(self) -> str:
        """Return the text of this element and all below it, as it stands."""
        return "".join(child if isinstance(child, str) else child.text() for child in self.children)


def tree(html: str) -> Element:
    """Return the elements of a text; the root's tag is empty."""
    builder = _Builder()
    builder.feed(html)
    builder.close()
    return builder.root


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("")
        self.open = [self.root]
        self.dropped = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _DROPPED:
            self.dropped += 1
        if self.dropped:
            return
        self.end_implied(tag)
        element = Element(tag, {name: CONTROL.sub("", value or "") for name, value in attrs})
        if len(self.open) < MAX_DEPTH or tag in _VOID:
            self.open[-1].children.append(element)
            if tag not in _VOID:
                self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def end_implied(self, tag: str) -> None:
        for index in range(len(self.open) - 1, 0, -1):
            if self.open[index].tag in _ENDS.get(tag, ()):
                del self.open[index:]
                return
            if self.open[index].tag in _HOLDS:
                return

    def handle_endtag(self, tag: str) -> None:
        if tag in _DROPPED:
            self.dropped = max(0, self.dropped - 1)
            return
        for index in range(len(self.open) - 1, 0, -1):
            if self.open[index].tag == tag:
                del self.open[index:]
                return

    def handle_data(self, data: str) -> None:
        if not self.dropped:
            self.open[-1].children.append(CONTROL.sub("", data))
