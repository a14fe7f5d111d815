"""Why a test decides nothing: a code and what belongs to it, so that the site can say it in any language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from memlab.results.comparing import Difference

ENGLISH = {
    "arithmetic": "the arithmetic {error}",
    "unknown-field": "no record has a field {names}",
    "unknown-metric": "no record has a number {metric}",
    "paired-metric": "{metric} is a number of two runs: say against what",
    "no-record": "no record of {selection}",
    "too-short": "no record of {selection} with {steps} steps or more",
    "not-comparable": "nothing to compare with: the closest records differ in {differences}",
    "too-few-runs": "{made} of the {asked} repeats asked for were made",
    "too-few-pairs": "{made} of the {asked} repeats asked for are on both sides",
    "not-measured": "{metric} was not measured",
    "not-measured-twice": "{metric} was not measured on both sides",
    "not-reached": "{missed} of {all} runs never came to that loss, so only a bound is known",
    "noisy": "no difference found, but the repeats lie too far apart to say that it is this small",
    "setups-disagree": "it comes out differently in different setups: let the test choose one",
}


@dataclass(frozen=True)
class Reason:
    """A key of `ENGLISH` with the values that it names: numbers, words, a selection, differences."""

    code: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return ENGLISH[self.code].format_map({name: _words(value) for name, value in self.values.items()})


def _words(value: Any) -> Any:
    if isinstance(value, Mapping):
        rest = ", ".join(f"{name} {wanted}" for name, wanted in value.items() if name != "technique")
        technique = str(value.get("technique", "any technique"))
        return f"{technique} with {rest}" if rest else technique
    if isinstance(value, tuple):
        return ", ".join(f"{d.field} ({d.of} and {d.against})" for d in value if isinstance(d, Difference))
    return value
