"""The pictures of a question that is read: each belongs to one text, and has a name of its own in the end."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import replace
from html import escape, unescape
from pathlib import PurePosixPath
from urllib.parse import quote, unquote, unquote_to_bytes

from steelyard.exchange.item import PLUGINFILE, Item
from steelyard.markup.html import IMAGE_TYPES

_ADDRESS = re.compile(re.escape(PLUGINFILE[:-1]) + r"/+([^\"'<>\n]*)")
_DATA = re.compile(
    r"(?<=[\"'])data:([a-z]+/[a-z0-9.+-]+)((?:;[a-z0-9=-]+){0,3}),([^\"'<>]*)(?=[\"'])", re.IGNORECASE
)
_SUFFIX = {kind: suffix for suffix, kind in IMAGE_TYPES.items() if suffix != ".jpeg"}


class Pictures:
    """Gathers the files of a question's texts under names that differ where the contents do."""

    def __init__(self, taken: Mapping[str, bytes] = {}) -> None:
        self.files = dict(taken)
        self._last: dict[str, int] = {}

    def add(self, name: str, data: bytes) -> str:
        """Take a file and return its name from now on."""
        name = name.strip("/").replace("/", "-")
        known = self.files.get(name)
        if known == data:
            return name
        path = PurePosixPath(name)
        found = name
        while found in self.files:
            number = self._last[name] = self._last.get(name, 1) + 1
            found = f"{path.stem}-{number}{path.suffix}"
            if self.files.get(found) == data:
                return found
        self.files[found] = data
        return found

    def renamed(self, html: str, files: Mapping[str, bytes]) -> str:
        """Return a text that shows its own `files` (path → content) by their names here."""
        names = {path: self.add(path, data) for path, data in files.items()}

        def address(match: re.Match[str]) -> str:
            path = re.split("[?#]", unescape(match[1]))[0].strip()
            name = names.get(unquote(path), names.get(path))
            return match[0] if name is None else escape(PLUGINFILE + quote(name))

        return _ADDRESS.sub(address, html) if names else html


def embedded(item: Item) -> Item:
    """Return a question whose `data:` pictures are files like its others."""
    texts = [item.stem, item.explanation, *(t for o in item.options for t in (o.html, o.feedback))]
    if not any("data:" in text for text in texts):
        return item
    pictures = Pictures(item.pictures)

    def address(match: re.Match[str]) -> str:
        suffix = _SUFFIX.get(match[1].lower())
        data = _decoded(match[3], ";base64" in match[2].lower())
        if suffix is None or not data:
            return match[0]
        return escape(PLUGINFILE + quote(pictures.add(f"picture{suffix}", data)))

    def html(text: str) -> str:
        return _DATA.sub(address, text)

    options = tuple(
        replace(option, html=html(option.html), feedback=html(option.feedback)) for option in item.options
    )
    stem, explanation = html(item.stem), html(item.explanation)
    return replace(item, stem=stem, explanation=explanation, options=options, pictures=pictures.files)


def _decoded(data: str, is_base64: bool) -> bytes:
    if not is_base64:
        return unquote_to_bytes(unescape(data))
    try:
        return base64.b64decode("".join(unquote(data).split()), validate=True)
    except (binascii.Error, ValueError):
        return b""
