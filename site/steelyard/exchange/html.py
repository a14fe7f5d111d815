"""Markdown of questions to HTML for other systems: no styles of ours, formulas as TeX, verdicts as words.

Formulas stay TeX, between `\\(…\\)` or `\\[…\\]`: Moodle's MathJax filter and Canvas draw them as their
readers need, and an author can go on editing them there; MathML would be dropped by Moodle's cleaning of
texts. What a host might take for a formula although it is none is broken by a `<span>`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import nh3
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import escape

from steelyard.bank.model import Text
from steelyard.markup.html import IMAGE_TYPES, SCHEME, below, empty_corners, shift_headings
from steelyard.markup.markdown import HTML_TAGS, parser

_ATTRIBUTES = {
    "*": {"dir", "lang", "title"},
    "a": {"href"},
    "code": {"class"},
    "img": {"alt", "height", "src", "width"},
    "ol": {"start"},
    "td": {"colspan", "rowspan", "style"},
    "th": {"colspan", "rowspan", "scope", "style"},
}
_LANGUAGE = re.compile(r"language-[\w+#.-]+")
_ALIGN = re.compile(r"text-align: ?(?:left|right|center);?")
_DELIMITER = re.compile(r"(\\)([(\[])|(\$)(\$)")

Note = Callable[[str], None]


class HtmlWriter:
    """Turns the texts of one question into HTML and gathers the pictures that they show.

    `verdicts` gives for a claim's id what stands behind the words that link to it. `pictures` begins the
    address of a picture; without it none can be held and their descriptions stand in for them. `note` is told
    of every loss.
    """

    def __init__(self, folder: str, verdicts: Mapping[str, str], pictures: str | None, note: Note) -> None:
        self.folder = folder
        self.verdicts = verdicts
        self.prefix = pictures
        self.note = note
        self.pictures: dict[str, str] = {}
        """Name in the export → path below the questions folder."""
        self._parser = parser()
        renderer = _Renderer(self)
        renderer.rules["softbreak"] = vars(self._parser.renderer)["rules"]["softbreak"]
        self._parser.renderer = renderer
        self._cleaner = nh3.Cleaner(
            tags=set(HTML_TAGS),
            attributes=_ATTRIBUTES,
            attribute_filter=self._attribute,
            clean_content_tags={
                "script",
                "style",
                "iframe",
                "object",
                "template",
                "noscript",
                "title",
                "svg",
            },
            url_schemes={"http", "https", "mailto"},
            link_rel=None,
        )

    def html(self, text: Text) -> str:
        """Return one text as HTML, without white space around it."""
        tokens = self._parser.parse(text.source)
        shift_headings(tokens, 3)
        empty_corners(tokens)
        rendered = self._parser.renderer.render(tokens, self._parser.options, {})
        return self._cleaner.clean(rendered).strip()

    def link(self, url: str) -> str | None:
        """Return where a link leads outside this site, or None after telling what became of it."""
        url = url.strip()
        if SCHEME.match(url):
            return url
        if not url.startswith("#"):
            self.note(f'the link "{url}" leads to a page of this site: its words remain')
        return None

    def picture(self, url: str, words: str) -> str | None:
        """Return a picture's address in the export, or None after telling why there is none."""
        path = below(url.strip(), self.folder)
        suffix = f".{path.rpartition('.')[2].lower()}" if path else ""
        if path is None or suffix not in IMAGE_TYPES:
            self.note(f'the picture "{url}" is no picture beside the question: its description remains')
            return None
        if self.prefix is None:
            self.note(f'this format holds no pictures: of "{url}" the description remains ("{words}")')
            return None
        name = path.replace("/", "-")
        self.pictures[name] = path
        return self.prefix + quote(name)

    def _attribute(self, tag: str, attribute: str, value: str) -> str | None:
        match attribute:
            case "class":
                return value if _LANGUAGE.fullmatch(value) else None
            case "style":
                return value if _ALIGN.fullmatch(value) else None
            case "href":
                return value if SCHEME.match(value) else None
            case "src":  # an author's own <img>; those of Markdown have their address by now
                known = self.prefix is not None and value.startswith(self.prefix)
                return value if known else self.picture(value, "")
        return value


class _Renderer(RendererHTML):
    def __init__(self, writer: HtmlWriter) -> None:
        super().__init__()
        self.writer = writer

    def text(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return plain(tokens[idx].content)

    def link_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        url = str(tokens[idx].attrGet("href") or "")
        target = self.writer.link(url)
        verdict = self.writer.verdicts.get(url[1:], "") if url.startswith("#") else ""
        # The links of a text do not nest, so what follows the words waits here for the closing tag.
        env["closing"] = str(escape(verdict)) if target is None else "</a>"
        return "" if target is None else f'<a href="{escape(target)}">'

    def link_close(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return str(env.pop("closing", ""))

    def image(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        token = tokens[idx]
        words = self.renderInlineAsText(token.children or [], options, env)
        url = str(token.attrGet("src") or "")
        if SCHEME.match(url):  # as on the pages: a foreign picture would count the learners
            return f'<a href="{escape(url)}">{escape(words or url)}</a>'
        address = self.writer.picture(url, words)
        if address is None:
            return f"<em>[{escape(words)}]</em>" if words else ""
        return f'<img src="{escape(address)}" alt="{escape(words)}">'

    def math_inline(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return self._math(tokens[idx].content, "\\(", "\\)")

    def math_inline_double(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return self._math(tokens[idx].content, "\\[", "\\]")

    def math_block(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return f"<p>{self.math_inline_double(tokens, idx, options, env)}</p>\n"

    math_block_label = math_block

    def _math(self, latex: str, opening: str, closing: str) -> str:
        latex = latex.strip()
        if closing in latex:
            self.writer.note(f'the formula "{latex}" holds {closing}, which would end it: it remains as code')
            return f"<code>{escape(latex)}</code>"
        return f"{opening}{escape(latex)}{closing}"


def plain(text: str) -> str:
    """Return plain text as HTML in which a host finds no formula."""
    return _DELIMITER.sub(
        lambda match: f"{match[1] or match[3]}<span>{match[2] or match[4]}</span>", str(escape(text))
    )
