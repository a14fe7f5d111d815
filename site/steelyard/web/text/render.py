"""Markdown of questions and technique pages to safe HTML.

Whatever an author writes passes one sanitiser at the end. What this module adds itself (colours of code,
verdicts, alignment) is told apart from an author's HTML by a class prefix that nobody outside the process
can know, so that no author can dress up a verdict.
"""

from __future__ import annotations

import posixpath
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import nh3
from flask import has_request_context, request
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup, escape

from steelyard.markup.html import IMAGE_TYPES, SCHEME, below, empty_corners, shift_headings
from steelyard.markup.markdown import HTML_TAGS, parser
from steelyard.web.text.highlight import highlight
from steelyard.web.text.mathml import mathml
from steelyard.web.text.vocabulary import verdict_words

if TYPE_CHECKING:
    from steelyard.bank.model import Text
    from steelyard.claims import Verdict
    from steelyard.evidence import Judgement

MAX_COLOURED = 8000
"""Characters of code that gets colours: some lexers take a time that grows with the square of the length."""

_OURS = secrets.token_hex(8) + "-"


def _names(text: str) -> set[str]:
    return set(text.split())


_MATHML = _names(
    "math menclose mfrac mi mmultiscripts mn mo mover mpadded mphantom mprescripts mroot mrow ms mspace "
    "msqrt mstyle msub msubsup msup mtable mtd mtext mtr munder munderover"
)
_TAGS = _MATHML | HTML_TAGS
_MATHML_ATTRIBUTES = _names(
    "accent accentunder columnalign columnlines columnspacing depth display displaystyle fence form height "
    "largeop linethickness lspace mathvariant maxsize minsize movablelimits notation rowlines rowspacing "
    "rspace scriptlevel separator stretchy symmetric voffset width"
)
_ATTRIBUTES = dict.fromkeys(_MATHML, _MATHML_ATTRIBUTES) | {
    "*": {"class", "dir", "id", "lang", "title"},
    "a": {"href"},
    "div": {"tabindex"},
    "img": {"alt", "height", "src", "width"},
    "ol": {"start"},
    "pre": {"tabindex"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan", "scope"},
}


def render(
    text: Text,
    *,
    lang: str,
    judgements: Mapping[str, Judgement] = {},
    prefix: str = "",
    folder: str | None = None,
    heading: int = 3,
) -> Markup:
    """Return `text` as HTML that is safe to put into a page. Its headings begin at level `heading`.

    `judgements` holds the page's weighed claims by id: a link `[words](#claim-id)` to one of them leads
    to its evidence card (`#claim-<id>`) and is followed by the verdict; for what a claim holds only, the
    card says in full, since a long verdict would break the sentence. Leave `judgements` out and no
    verdict shows, as before an answer. `prefix` begins every id in the text, so that two texts of a page
    cannot collide. `folder` is the folder of the text's file below the questions folder (`""` for that folder
    itself): images and links to other questions are relative to it; without it they are shown as words.
    """
    return _html(
        text.source,
        lang,
        tuple((name, judged.verdict) for name, judged in judgements.items()),
        prefix,
        folder,
        heading,
        request.script_root if has_request_context() else "",
    )


@lru_cache(maxsize=4096)
def _html(
    source: str,
    lang: str,
    verdicts: tuple[tuple[str, Verdict], ...],
    prefix: str,
    folder: str | None,
    heading: int,
    root: str,
) -> Markup:
    words = {name: (verdict, verdict_words(verdict, "…", lang)) for name, verdict in verdicts}
    tokens = _PARSER.parse(source)
    shift_headings(tokens, heading)
    empty_corners(tokens)
    env = {"verdicts": words}
    cleaner = nh3.Cleaner(
        tags=_TAGS if heading > 2 else _TAGS | {"h2"},
        attributes=_ATTRIBUTES,
        attribute_filter=_attribute_filter(words, prefix, folder, root),
        clean_content_tags={"script", "style", "iframe", "object", "template", "noscript", "title", "svg"},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener",
    )
    return Markup(cleaner.clean(_PARSER.renderer.render(tokens, _PARSER.options, env)))  # noqa: S704


def _attribute_filter(
    verdicts: Mapping[str, object], prefix: str, folder: str | None, root: str
) -> Callable[[str, str, str], str | None]:
    def keep(tag: str, attribute: str, value: str) -> str | None:
        match attribute:
            case "class":
                ours = [name.removeprefix(_OURS) for name in value.split() if name.startswith(_OURS)]
                return " ".join(ours) or None
            case "id":
                return f"{prefix}text-{value}"
            case "tabindex":
                return "0"
            case "href":
                return _link(value, verdicts, folder, root)
            case "src":
                return _image(value, folder, root)
        return value

    return keep


def _link(url: str, verdicts: Mapping[str, object], folder: str | None, root: str) -> str | None:
    """Return where a link in the text leads from the page, or None where it may lead nowhere."""
    url = url.strip()
    if url.startswith("#"):
        return f"#claim-{url[1:]}" if url[1:] in verdicts else None
    if SCHEME.match(url):
        return url
    if url.startswith("/"):
        return None if url[1:2] in ("/", "\\") else root + url
    path = below(url, folder)
    if path is None or not path.endswith(".md"):
        return None
    return f"{root}/questions/{quote(re.sub(r'([.][a-z]{2})?[.]md$', '', path))}"


def _image(url: str, folder: str | None, root: str) -> str | None:
    path = below(url.strip(), folder)
    if path is None or posixpath.splitext(path)[1].lower() not in IMAGE_TYPES:
        return None
    return f"{root}/media/{quote(path)}"


# ---- what the parser's tokens become -----------------------------------------------------------------------


class _Renderer(RendererHTML):
    def fence(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        words = tokens[idx].info.split()
        return _code(tokens[idx].content, words[0] if words else "")

    def code_block(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return _code(tokens[idx].content, "")

    def table_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return f'<div class="{_OURS}scroll" tabindex="0"><table>'

    def table_close(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return "</table></div>\n"

    def th_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return _cell(tokens[idx])

    td_open = th_open

    def link_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        link = self.renderToken(tokens, idx, options, env)
        target = str(tokens[idx].attrGet("href") or "")
        verdict = env["verdicts"].get(target[1:]) if target.startswith("#") else None
        # The links of a text do not nest, so the verdict waits here for its closing tag.
        env["closing"] = "" if verdict is None else _verdict(*verdict)
        return link if verdict is None else link.replace("<a ", f'<a class="{_OURS}claim" ', 1)

    def link_close(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return f"</a>{env.pop('closing', '')}"

    def image(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        token = tokens[idx]
        words = escape(self.renderInlineAsText(token.children or [], options, env))
        url = str(token.attrGet("src") or "")
        if SCHEME.match(url):  # a foreign image would count the learners; the pages' policy lets none in
            return f'<a href="{escape(url)}">{words or escape(url)}</a>'
        return f'<img src="{escape(url)}" alt="{words}">'

    def math_inline(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return _math(tokens[idx].content, display=False)

    def math_inline_double(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return _math(tokens[idx].content, display=True)

    def math_block(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        math = _math(tokens[idx].content, display=True)
        return f'<div class="{_OURS}math {_OURS}scroll" tabindex="0">{math}</div>\n'

    math_block_label = math_block


def _code(source: str, language: str) -> str:
    if len(source) > MAX_COLOURED:
        language = "text"
    return f'<pre class="{_OURS}code" tabindex="0"><code>{highlight(source, language, _OURS)}</code></pre>\n'


def _cell(token: Token) -> str:
    align = str(token.attrGet("style") or "").removeprefix("text-align:")
    return f'<{token.tag} class="{_OURS}{align}">' if align else f"<{token.tag}>"


def _verdict(verdict: Verdict, words: str) -> str:
    return f' <span class="{_OURS}verdict {_OURS}verdict-{verdict}">{escape(words)}</span>'


def _math(latex: str, *, display: bool) -> str:
    converted = mathml(latex.strip(), display=display)
    if converted is None:
        return f'<code class="{_OURS}bad-math">{escape(latex)}</code>'
    return re.sub(r' style="([^"]*)"', _alignment, converted)


def _alignment(style: re.Match[str]) -> str:
    """Replace a formula's inline alignment by a class, since the pages' policy forbids inline style."""
    align = re.search(r"text-align: (left|right)", style[1])
    return f' class="{_OURS}{align[1]}"' if align else ""


_PARSER = parser()
_RENDERER = _Renderer(_PARSER)
# The dialect's own rule: no space between CJK characters.
_RENDERER.rules["softbreak"] = vars(_PARSER.renderer)["rules"]["softbreak"]
_PARSER.renderer = _RENDERER
