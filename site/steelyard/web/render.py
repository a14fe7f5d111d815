"""Markdown of questions and technique pages to safe HTML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import nh3
from markupsafe import Markup

from steelyard.markdown import parser

if TYPE_CHECKING:
    from steelyard.bank.model import Text
    from steelyard.evidence import Judgement


def render(text: Text, *, lang: str, judgements: Mapping[str, Judgement] = {}, prefix: str = "") -> Markup:
    """Return `text` as HTML that is safe to put into a page."""
    return Markup(nh3.clean(parser().render(text.source)))  # noqa: S704
