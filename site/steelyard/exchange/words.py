"""The few words that an export or an import writes itself, by language. A language is one row."""

from __future__ import annotations

from dataclasses import dataclass

from steelyard.claims import Verdict


@dataclass(frozen=True)
class Words:
    """Words of one language."""

    holds: str
    does_not_hold: str
    holds_only_for: str
    """With `{what}` in it."""
    some_cases: str
    open: str
    bracket: str
    """With `{verdict}` in it: how a verdict stands behind the words that it is about."""
    sources: str
    no_explanation: str
    true: str
    """The choices of a true/false question, as Moodle names them."""
    false: str

    def verdict(self, verdict: Verdict, only_for: str | None) -> str:
        """Return a verdict as the site's pages word it."""
        match verdict:
            case "holds":
                return self.holds
            case "does-not-hold":
                return self.does_not_hold
            case "holds-only-for":
                return self.holds_only_for.format(what=only_for or self.some_cases)
            case "open":
                return self.open


WORDS = {
    "en": Words(
        holds="holds",
        does_not_hold="does not hold",
        holds_only_for="holds only for {what}",
        some_cases="some cases",
        open="not measured yet",
        bracket=" ({verdict})",
        sources="Sources:",
        no_explanation="This question came without an explanation.",
        true="True",
        false="False",
    ),
    "ja": Words(
        holds="成り立つ",
        does_not_hold="成り立たない",
        holds_only_for="{what}に限り成り立つ",
        some_cases="一部の場合",
        open="未測定",
        bracket="（{verdict}）",
        sources="出典：",
        no_explanation="この問題には、まだ解説がありません。",
        true="正しい",
        false="誤り",
    ),
}
