"""The one Markdown dialect: CommonMark, tables, strikethrough, math between dollars."""

from __future__ import annotations

from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin


def parser() -> MarkdownIt:
    """Return a parser of the dialect. Raw HTML is parsed; whoever renders it has to sanitise the result."""
    return (
        MarkdownIt("commonmark")
        .enable(["table", "strikethrough"])
        .use(dollarmath_plugin, allow_space=False, allow_digits=False)
    )
