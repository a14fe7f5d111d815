"""The languages of one question: what they share, and where they disagree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from steelyard.bank.model import Question
from steelyard.bank.parse import Parsed
from steelyard.claims import Claim
from steelyard.problems import Problem

_SHARED = ("type", "scoring", "shuffle", "difficulty", "techniques", "regrade")
"""Front-matter keys that mean the same in every language: given in one file, they hold for all."""

_INHERITED = ("tags", "sources")
"""Keys that a language may give in its own words, and otherwise takes from another."""


@dataclass(frozen=True)
class _Translation:
    question: Question
    parsed: Parsed

    @property
    def language(self) -> str:
        return self.question.language


def merge(parsed: Iterable[Parsed]) -> tuple[list[Question], list[Problem]]:
    """Let the good files of one question complete each other; also return where they disagree.

    The English file (else the first by language) speaks first; a disagreement is a problem of the other file.
    One that has other choices or another key is left out: an attempt could not go from one to the other.
    """
    first, *others = sorted(
        (_Translation(p.question, p) for p in parsed if p.question),
        key=lambda translation: (translation.language != "en", translation.language),
    )
    translations = [first]
    problems: list[Problem] = []
    for translation in others:
        clash = list(_compare(first, translation))
        problems += clash
        if not clash:
            translations.append(translation)
    if len(translations) == 1:
        return [first.question], problems
    values = {name: _given(translations, name, problems) for name in _SHARED}
    inherited = {name: _first(translations, name) for name in _INHERITED}
    claims = _claims(translations, problems)
    questions = []
    for translation in translations:
        changes: dict[str, Any] = {name: value for name, value in values.items() if value is not None}
        changes |= {
            name: v for name, v in inherited.items() if v is not None and name not in translation.parsed.given
        }
        changes["claims"] = _completed(translation, claims)
        questions.append(replace(translation.question, **changes))
    return questions, problems


def _compare(first: _Translation, other: _Translation) -> Iterable[Problem]:
    a, b = first.question, other.question
    if len(a.choices) != len(b.choices):
        counts = f"{a.language} has {len(a.choices)} choices, {b.language} has {len(b.choices)}"
        yield Problem(b.path, b.choices[0].text.line, 1, "E022", counts)
    elif a.key != b.key:
        keys = f"{a.language} says {_listed(a.key)}; {b.language} says {_listed(b.key)}"
        yield Problem(b.path, other.parsed.answer_line, 1, "E021", f"keys differ between languages: {keys}")


def _listed(letters: Iterable[str]) -> str:
    return ", ".join(sorted(letters))


def _given(translations: Sequence[_Translation], name: str, problems: list[Problem]) -> Any:
    """Return the value of a shared key from the first file that sets it, None when none does."""
    setters = [translation for translation in translations if name in translation.parsed.given]
    for other in setters[1:]:
        ours, theirs = getattr(setters[0].question, name), getattr(other.question, name)
        if ours != theirs:
            words = f"{setters[0].language} says {_words(ours)}; {other.language} says {_words(theirs)}"
            message = f"{name} differs between languages: {words}"
            place = other.parsed.places.value(name)
            problems.append(Problem(other.question.path, *place, "E022", message))
    return getattr(setters[0].question, name) if setters else None


def _words(value: Any) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value).lower()


def _first(translations: Sequence[_Translation], name: str) -> Any:
    return next(
        (
            getattr(translation.question, name)
            for translation in translations
            if name in translation.parsed.given
        ),
        None,
    )


def _claims(translations: Sequence[_Translation], problems: list[Problem]) -> dict[str, Claim]:
    """Return for each claim the first file's version that says most, reporting files that contradict it."""
    merged: dict[str, Claim] = {}
    for translation in translations:
        for claim in translation.question.claims:
            first = merged.setdefault(claim.id, claim)
            if first is claim:
                continue
            for name in ("verdict", "tests"):
                if name not in claim.model_fields_set:
                    continue
                if name not in first.model_fields_set:
                    first = first.model_copy(update={name: getattr(claim, name)})
                elif _bare(first, name) != _bare(claim, name):
                    differ = "verdict differs" if name == "verdict" else "tests differ"
                    message = f"in claim {claim.id} the {differ} between languages"
                    place = translation.parsed.places.value("claims", claim.id, name)
                    problems.append(Problem(translation.question.path, *place, "E022", message))
            merged[claim.id] = first
    for translation in translations:
        own = {claim.id for claim in translation.question.claims}
        for claim_id in merged.keys() - own:
            message = f"claim {claim_id} is missing in this language: give its id and says"
            place = translation.parsed.places.value("claims")
            problems.append(Problem(translation.question.path, *place, "E022", message))
    return merged


def _bare(claim: Claim, name: str) -> Any:
    value = getattr(claim, name)
    return [test.model_dump(exclude={"line"}) for test in value] if name == "tests" else value


def _completed(translation: _Translation, merged: dict[str, Claim]) -> tuple[Claim, ...]:
    own = {claim.id: claim for claim in translation.question.claims}
    completed = []
    for claim_id, claim in merged.items():
        words = {"says", "only_for", "line"} if claim_id in own else set()
        mine = {
            name: getattr(own[claim_id], name) for name in words if getattr(own[claim_id], name) is not None
        }
        completed.append(claim.model_copy(update=mine))
    return tuple(completed)
