"""Writing XML, an element a line; a text is escaped, or stands in CDATA."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from xml.sax.saxutils import XMLGenerator
from xml.sax.xmlreader import AttributesImpl

_FORBIDDEN = dict.fromkeys([0xFFFE, 0xFFFF])
"""Of what question files may hold, all that XML may not."""


class XmlWriter:
    """One document, in UTF-8. With `cdata` no text is escaped: between two escapes Moodle loses spaces."""

    def __init__(self, *, cdata: bool = False) -> None:
        self._stream = BytesIO()
        self._out = XMLGenerator(self._stream, "utf-8", short_empty_elements=True)
        self._out.startDocument()
        self._cdata = cdata

    @contextmanager
    def within(self, tag: str, attributes: Mapping[str, str] = {}) -> Iterator[None]:
        """Write an element around what is written meanwhile."""
        self._out.startElement(tag, AttributesImpl(dict(attributes)))
        yield
        self._out.endElement(tag)
        self._out.ignorableWhitespace("\n")

    def leaf(self, tag: str, text: str = "", attributes: Mapping[str, str] = {}) -> None:
        """Write an element with nothing but text in it."""
        with self.within(tag, attributes):
            text = text.translate(_FORBIDDEN)
            if self._cdata and re.search("[&<>]", text):
                text = text.replace("]]>", "]]]]><![CDATA[>")
                self._out.ignorableWhitespace(f"<![CDATA[{text}]]>")  # written as it stands
            else:
                self._out.characters(text)

    def bytes(self) -> bytes:
        """End the document and return it."""
        self._out.endDocument()
        return self._stream.getvalue()
