"""What pages and exports share in turning Markdown into HTML: pictures, relative addresses, headings."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from urllib.parse import unquote

from markdown_it.token import Token

IMAGE_TYPES = {
    ".avif": "image/avif",
    ".gif": "image/gif",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webp": "image/webp",
}
"""Suffix → content type of the files beside a question that a page may show."""

SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


def empty_corners(tokens: Sequence[Token]) -> None:
    """Make an empty column header a plain cell, since a screen reader has nothing to read in it."""
    for opening, text, closing in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if opening.type == "th_open" and not text.content.strip():
            opening.tag = closing.tag = "td"


def shift_headings(tokens: Sequence[Token], top: int) -> None:
    """Let the highest heading of a text begin at level `top`, and the others below it as before."""
    shift = top - min((int(token.tag[1]) for token in tokens if token.type == "heading_open"), default=top)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + shift)}"


def below(url: str, folder: str | None) -> str | None:
    """Return the path below the questions folder that a relative URL names; None if it leaves that folder."""
    path = unquote(re.split("[?#]", url, maxsplit=1)[0])
    if folder is None or not path or SCHEME.match(url) or path.startswith("/"):
        return None
    path = posixpath.normpath(posixpath.join(folder, path))
    outside = path.startswith(("../", "/")) or path in ("..", ".") or "\\" in path or "\0" in path
    return None if outside else path
