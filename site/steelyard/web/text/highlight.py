"""Source code as coloured HTML: classes only, since the pages' policy allows no inline style."""

from __future__ import annotations

from functools import lru_cache

from markupsafe import Markup, escape
from pygments import highlight as pygments_highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound


@lru_cache(maxsize=256)
def highlight(source: str, language: str, prefix: str = "") -> Markup:
    """Return `source` as HTML to be put into `<pre>`; every class begins with `prefix`.

    An unknown language is no error: the code is then shown without colours.
    """
    try:
        lexer = get_lexer_by_name(language or "text", stripnl=False)
    except ClassNotFound:
        return escape(source)
    return Markup(pygments_highlight(source, lexer, HtmlFormatter(nowrap=True, classprefix=prefix)))  # noqa: S704
