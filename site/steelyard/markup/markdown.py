"""The one Markdown dialect: CommonMark, tables, strikethrough, math between dollars, and CJK-friendly text.

CommonMark does not close `**…（PEFT）**の`: it takes the bracket for punctuation, after which a space has
to follow. The CJK-friendly amendment lets an ideograph, a kana or a full-width mark beside a delimiter do for
that space; and a line break between two such characters is no space at all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from unicodedata import category, east_asian_width

from markdown_it import MarkdownIt
from markdown_it.common.utils import isMdAsciiPunct, isPunctChar, isWhiteSpace
from markdown_it.parser_inline import ParserInline
from markdown_it.renderer import RendererHTML
from markdown_it.rules_inline.state_inline import Scanned, StateInline
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from mdit_py_plugins.dollarmath import dollarmath_plugin

_HTML = (
    "a abbr b blockquote br code dd del details div dl dt em figcaption figure h3 h4 h5 h6 hr i img ins kbd "
    "li mark ol p pre rp rt ruby s small span strong sub summary sup table tbody td th thead tr u ul var wbr"
)
HTML_TAGS = frozenset(_HTML.split())
"""The elements of raw HTML that a page keeps; every other one is dropped."""

MAX_NESTING = 20
"""Levels of blocks in blocks, a list being two: the parser drops in silence what lies deeper."""

_HANGUL = re.compile("[\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff\uffa0-\uffdf]")


def parser() -> MarkdownIt:
    """Return a parser of the dialect. Raw HTML is parsed; whoever renders it has to sanitise the result."""
    md = MarkdownIt("commonmark")
    md.inline = _Inline()
    md.configure("commonmark")  # once more, for the rules of the new inline parser
    md.options["maxNesting"] = MAX_NESTING
    md.enable(["table", "strikethrough"])
    md.use(dollarmath_plugin, allow_space=False, allow_digits=False)
    md.add_render_rule("softbreak", _softbreak)
    # mdurl fills its tables at the first link, and shows them half filled to other threads meanwhile.
    md.normalizeLink("/")
    md.normalizeLinkText("/")
    # So do rulers at their first use: a second thread that asks meanwhile gets no rules, and cannot parse.
    for ruler in (md.core.ruler, md.block.ruler, md.inline.ruler, md.inline.ruler2):
        ruler.getRules("")
    return md


@lru_cache(maxsize=4096)
def is_cjk(char: str) -> bool:
    """Say whether `char` is an ideograph, a kana, Hangul, or a wide or full-width mark; emoji are not."""
    if east_asian_width(char) not in "WFH" and not _HANGUL.match(char):
        return False
    return category(char) != "So" or "\u3000" <= char <= "\u33ff"


@lru_cache(maxsize=4096)
def _is_western_punctuation(char: str) -> bool:
    return (isMdAsciiPunct(ord(char)) or isPunctChar(char)) and not is_cjk(char)


class _State(StateInline):
    def scanDelims(self, start: int, canSplitWord: bool) -> Scanned:  # noqa: N802, N803 — markdown-it's names
        """Scan a run of delimiters as the CJK-friendly amendment (markdown-cjk-friendly) asks."""
        end = start
        while end < self.posMax and self.src[end] == self.src[start]:
            end += 1
        before = self.src[start - 1] if start > 0 else " "
        after = self.src[end] if end < self.posMax else " "
        left = not isWhiteSpace(ord(after)) and (
            not _is_western_punctuation(after) or _leaves_room(before) or is_cjk(before)
        )
        right = not isWhiteSpace(ord(before)) and (
            not _is_western_punctuation(before) or _leaves_room(after) or is_cjk(after)
        )
        opens = left and (canSplitWord or not right or _is_punctuation(before))
        closes = right and (canSplitWord or not left or _is_punctuation(after))
        return Scanned(opens, closes, end - start)


def _is_punctuation(char: str) -> bool:
    return isMdAsciiPunct(ord(char)) or isPunctChar(char)


def _leaves_room(char: str) -> bool:
    return isWhiteSpace(ord(char)) or _is_western_punctuation(char)


class _Inline(ParserInline):
    def parse(self, src: str, md: MarkdownIt, env: EnvType, tokens: list[Token]) -> list[Token]:
        state = _State(src, md, env, tokens)
        self.tokenize(state)
        for rule in self.ruler2.getRules(""):
            rule(state)
        return state.tokens


def _softbreak(
    renderer: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType
) -> str:
    before = _neighbour(tokens, index, -1)
    after = _neighbour(tokens, index, 1)
    joins = all(char and is_cjk(char) and not _HANGUL.match(char) for char in (before, after))
    return "" if joins else "\n"


def _neighbour(tokens: Sequence[Any], index: int, step: int) -> str:
    """Return the character beside a break, looking through the edges of emphasis and links."""
    index += step
    while 0 <= index < len(tokens):
        token = tokens[index]
        if token.content and token.type in ("text", "code_inline"):
            return str(token.content[-1] if step < 0 else token.content[0])
        if token.nesting == 0 and token.type != "text":
            break
        index += step
    return ""
