"""The rules that need more than one file: the rest of the bank, the folder, or the evidence."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from math import comb
from pathlib import Path
from urllib.parse import unquote

from memlab.results.techniques import TECHNIQUES
from steelyard.bank.answer import comparable
from steelyard.bank.model import Bank, Question, Text
from steelyard.bank.places import Places, YamlPath
from steelyard.bank.prose import Mention, numbers, scan
from steelyard.bank.report import did_you_mean, failure, quoted
from steelyard.claims import Claim, Selection, Test
from steelyard.evidence import METRICS, PAIRED, SELECTORS, Records, judge
from steelyard.markup.markdown import HTML_TAGS
from steelyard.problems import Problem

CHANCE = 0.01
"""How unlikely a pattern of keys has to be, were they put in at random, before it is reported."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_ATTRIBUTE = re.compile(r"\s(style|on[a-z]+)\s*=", re.IGNORECASE)
_TAG = re.compile(r"</?([A-Za-z][A-Za-z0-9-]*)")


def check(bank: Bank, records: Records) -> tuple[Problem, ...]:
    """Return every problem of the bank, those of single files included, by file and line."""
    problems = list(bank.problems)
    spoken = {language for edition in bank.questions.values() for language in edition}
    for question_id, edition in bank.questions.items():
        tested: set[str] = set()
        for question in edition.values():
            problems += _guarded(question.path, _question(bank, question, tested))
        problems += _guarded(edition.first.path, _judged(bank, edition.values(), records))
        for language in sorted(spoken - edition.keys()):
            if question_id not in bank.broken:
                first = edition.first
                message = f"the question is missing in {language}, which other questions have"
                problems.append(Problem(first.path, 1, 1, "W204", message))
    problems += _repeated(bank)
    problems += _patterns(bank)
    return tuple(sorted(set(problems)))


def contradictions(bank: Bank, records: Records) -> tuple[Problem, ...]:
    """Return what the evidence says against the bank (E040), by file and line."""
    judged = (
        problem
        for edition in bank.questions.values()
        for problem in _guarded(edition.first.path, _judged(bank, edition.values(), records))
    )
    return tuple(sorted(problem for problem in judged if problem.is_error))


def _guarded(path: str, problems: Iterator[Problem]) -> Iterator[Problem]:
    """Yield the problems; what is raised while they are looked for is a problem of this file, too."""
    try:
        yield from problems
    except Exception as error:
        yield failure(path, error)


def _question(bank: Bank, question: Question, tested: set[str]) -> Iterator[Problem]:
    """Check one language of a question; `tested` has the claims whose tests another language was told of."""
    places = bank.places.get(question.path, Places())
    for index, technique in enumerate(question.techniques):
        # What another language gives stands in its file.
        if technique not in TECHNIQUES and ("techniques", index) in places:
            yield _unknown_technique(question, places.value("techniques", index), technique)
    claims = {claim.id for claim in question.claims}
    for claim in question.claims:
        yield from _halves(question, places, claim)
        if claim.id not in tested and ("claims", claim.id, "tests") in places:
            tested.add(claim.id)
            for index, test in enumerate(claim.tests):
                yield from _test(question, places, ("claims", claim.id, "tests", index), test)
    explained = [part.text for part in question.explanation]
    asked = [question.stem, *(choice.text for choice in question.choices)]
    quoted_feedback = [c.feedback for c in question.choices if c.feedback and c.feedback not in explained]
    for text, column in [(text, True) for text in explained] + [
        (text, False) for text in asked + quoted_feedback
    ]:
        for mention in scan(text).mentions:
            if reason := _mention(bank, question, mention, claims):
                yield Problem(question.path, mention.line, mention.column if column else 1, *reason)
    for number in numbers(question):
        if number.claim not in claims:
            message = f"{quoted(number.words)} is not weighed: link it to a claim"
            yield Problem(question.path, number.line, number.column, "W201", message)


def _unknown_technique(question: Question, place: tuple[int, int], technique: object) -> Problem:
    message = f"unknown technique {quoted(technique)}{did_you_mean(technique, TECHNIQUES)}"
    return Problem(question.path, *place, "E030", message)


# ---- claims ---------------------------------------------------------------------------------------------


def _halves(question: Question, places: Places, claim: Claim) -> Iterator[Problem]:
    """Check that a claim which holds only for something says for what, and tests both that and the rest."""
    if claim.verdict != "holds-only-for":
        return
    if claim.only_for is None:
        message = f"claim {claim.id} holds only for something: say in only_for for what"
        yield Problem(question.path, *places.value("claims", claim.id, "only_for"), "E006", message)
    if {test.expect for test in claim.tests} != {True, False}:
        message = (
            f"claim {claim.id} holds only for something: it needs a test that holds and one that does not"
        )
        yield Problem(question.path, *places.value("claims", claim.id, "tests"), "E006", message)


def _test(question: Question, places: Places, path: YamlPath, test: Test) -> Iterator[Problem]:
    for side, selection in (("of", test.of), ("against", test.against)):
        yield from _selection(question, places, (*path, side), selection or {})
    for key, name, known in (
        ("metric", test.metric, METRICS | PAIRED.keys()),
        ("whole", test.whole, METRICS),
    ):
        if name is not None and name not in known:
            message = f"no record has a number {quoted(name)}{did_you_mean(name, known)}"
            yield Problem(question.path, *places.value(*path, key), "E006", message)
    if test.metric in PAIRED and test.against is None:
        message = f"{test.metric} is a number of two runs: say against what"
        yield Problem(question.path, *places.value(*path, "metric"), "E006", message)


def _selection(question: Question, places: Places, path: YamlPath, selection: Selection) -> Iterator[Problem]:
    technique = selection.get("technique")
    if technique is not None and technique not in TECHNIQUES:
        yield _unknown_technique(question, places.value(*path, "technique"), technique)
    for name in selection:
        if name not in SELECTORS:
            message = f"a record cannot be selected by {quoted(name)}{did_you_mean(name, SELECTORS)}"
            yield Problem(question.path, *places.key(*path, name), "E006", message)


def _judged(bank: Bank, questions: Iterable[Question], records: Records) -> Iterator[Problem]:
    """Judge each claim once, in the language that gives its tests first."""
    seen: set[str] = set()
    for question in questions:
        for claim in question.claims:
            if claim.id not in seen:
                seen.add(claim.id)
                places = bank.places.get(question.path, Places())
                yield from _judge(question, places, claim, records)


def _judge(question: Question, places: Places, claim: Claim, records: Records) -> Iterator[Problem]:
    judgement = judge(claim, records)
    if judgement.contradiction:
        message = f"claim {claim.id} {judgement.contradiction}"
        yield Problem(question.path, *places.value("claims", claim.id), "E040", message)
    elif judgement.verdict == "open":
        why = next((finding.why for finding in judgement.findings if finding.why), "it has no test")
        message = f"nothing decides claim {claim.id} yet: {why}"
        yield Problem(question.path, *places.value("claims", claim.id), "W202", message)


# ---- links, images, HTML --------------------------------------------------------------------------------


def _mention(bank: Bank, question: Question, mention: Mention, claims: set[str]) -> tuple[str, str] | None:
    """Return code and message when a link leads nowhere or a piece of HTML would be dropped."""
    if mention.kind == "html":
        dropped = sorted({tag for tag in _TAG.findall(mention.content) if tag.lower() not in HTML_TAGS})
        if dropped:
            return "E037", f"the page drops the HTML element <{dropped[0]}>: write Markdown instead"
        if attribute := _ATTRIBUTE.search(mention.content):
            return "E037", f"the page drops the HTML attribute {quoted(attribute[1])}"
        return None
    url = mention.content
    if url.startswith("#") and mention.kind == "link":
        if url[1:] not in claims:
            return "E035", f"there is no claim {quoted(url[1:])}{did_you_mean(url[1:], claims)}"
    elif not (_SCHEME.match(url) or url.startswith("/")) and not _exists(bank.root, question.id, url):
        return "E031", f"the {mention.kind} {quoted(url)} leads nowhere"
    return None


def _exists(root: Path, question_id: str, url: str) -> bool:
    """Say whether a relative URL names a file inside the bank's folder."""
    path = unquote(re.split(r"[?#]", url, maxsplit=1)[0])
    try:
        file = (root / question_id).parent.joinpath(path).resolve(strict=True)
        return bool(path) and file.is_file() and file.is_relative_to(root.resolve())
    except (OSError, ValueError, RuntimeError):
        return False


# ---- across questions -----------------------------------------------------------------------------------


def _repeated(bank: Bank) -> Iterator[Problem]:
    seen: dict[tuple[str, ...], Question] = {}
    for edition in bank.questions.values():
        for language, question in edition.items():
            texts = sorted(comparable(choice.text.source) for choice in question.choices)
            what = (language, comparable(question.stem.source), *texts)
            if what in seen:
                message = f"{seen[what].path} asks the same with the same choices"
                yield Problem(question.path, question.stem.line, 1, "E024", message)
            seen.setdefault(what, question)


def _patterns(bank: Bank) -> Iterator[Problem]:
    """Report patterns of keys that let a learner guess, in each quiz and in the whole bank."""
    groups = {f"quiz {slug}": quiz.questions for slug, quiz in bank.quizzes.items()}
    if len(groups) > 1:
        groups["the bank"] = tuple(bank.questions)
    for name, ids in groups.items():
        by_language: dict[str, list[Question]] = defaultdict(list)
        for question_id in ids:
            for language, question in bank.questions[question_id].items():
                if len(question.key) == 1:
                    by_language[language].append(question)
        for questions in by_language.values():
            yield from _positions(name, questions)
            yield from _longest(name, questions)


def _positions(name: str, questions: list[Question]) -> Iterator[Problem]:
    keys = Counter(next(iter(question.key)) for question in questions)
    for letter, count in keys.most_common(1):
        # Any of the positions might have stood out, hence the factor.
        places = max(len(question.choices) for question in questions)
        if places * _chance(questions, count) < CHANCE:
            of = f"{count} of {len(questions)} questions with one key"
            message = f"in {name} the right answer is {letter} in {of}"
            yield Problem(questions[0].path, 1, 1, "W205", message)


def _longest(name: str, questions: list[Question]) -> Iterator[Problem]:
    count = sum(_gives_away(question) for question in questions)
    if questions and _chance(questions, count) < CHANCE:
        of = f"{count} of {len(questions)} questions with one key"
        yield Problem(
            questions[0].path, 1, 1, "W206", f"in {name} the right answer is the longest choice in {of}"
        )


def _gives_away(question: Question) -> bool:
    length: Callable[[Text], int] = lambda text: len(comparable(text.source))  # noqa: E731
    right = max(length(choice.text) for choice in question.choices if choice.correct)
    return all(length(choice.text) < right for choice in question.choices if not choice.correct)


def _chance(questions: list[Question], count: int) -> float:
    """Return how likely `count` hits or more are when every choice is as likely as the others (binomial)."""
    n = len(questions)
    p = sum(1 / len(question.choices) for question in questions) / n
    return sum(comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(count, n + 1))
