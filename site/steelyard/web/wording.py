"""The words for verdicts and for the ways in which a figure was obtained."""

from __future__ import annotations

from flask_babel import force_locale, gettext

from steelyard.bank.model import Verdict


def verdict_words(verdict: Verdict, only_for: str | None, lang: str) -> str:
    """Return what stands beside a claim, in the language of the text around it."""
    with force_locale(lang):
        match verdict:
            case "holds":
                return gettext("holds")
            case "does-not-hold":
                return gettext("does not hold")
            case "holds-only-for":
                return gettext("holds only for %(what)s", what=only_for or gettext("some cases"))
            case "open":
                return gettext("not measured yet")
