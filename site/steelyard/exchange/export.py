"""A question of the bank to an `Item`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from steelyard.bank.model import Question
from steelyard.evidence import Records, judge
from steelyard.exchange.html import HtmlWriter, Note, plain
from steelyard.exchange.item import Item, Option
from steelyard.exchange.words import WORDS, Words

MAX_PICTURE = 8 * 1024 * 1024
"""Bytes of a picture that an export or an import takes along."""


def item(question: Question, records: Records, root: Path, pictures: str | None, note: Note) -> Item:
    """Return a question as other systems take it. `root` is the questions folder, for its pictures.

    `pictures` begins the address of a picture (None: the format holds none); `note` is told what gets lost.
    The verdicts of the claims are those of `records`.
    """
    words = WORDS[question.language]
    verdicts = {
        claim.id: words.bracket.format(verdict=words.verdict(judge(claim, records).verdict, claim.only_for))
        for claim in question.claims
    }
    folder = question.id.rpartition("/")[0]
    before = HtmlWriter(folder, {}, pictures, note)  # stem and choices ask: a verdict would answer
    after = HtmlWriter(folder, verdicts, pictures, note)
    options = tuple(
        Option(
            _inline(before.html(choice.text)),
            choice.correct,
            after.html(choice.feedback) if choice.feedback else "",
        )
        for choice in question.choices
    )
    stem = before.html(question.stem)
    general = [after.html(part.text) for part in question.explanation if part.letter is None]
    return Item(
        id=question.id,
        title=question.title,
        stem=stem,
        options=options,
        explanation="\n".join([*general, *_sources(question, words)]),
        single=question.type == "single",
        scoring=question.scoring,
        shuffle=question.shuffle,
        tags=tags(question),
        pictures=_read(before.pictures | after.pictures, root, note),
    )


def tags(question: Question) -> tuple[str, ...]:
    """Return the front matter that other systems can hold as tags."""
    level = [] if question.difficulty is None else [f"difficulty:{question.difficulty}"]
    return (*(f"technique:{name}" for name in question.techniques), *level, *question.tags)


def _inline(html: str) -> str:
    """Take away the paragraph around a choice that is nothing else: it stands beside its button then."""
    inner = html.removeprefix("<p>").removesuffix("</p>")
    return inner.strip() if len(inner) == len(html) - 7 and "<p>" not in inner else html


def _sources(question: Question, words: Words) -> Iterable[str]:
    """Return the sources as a list for the end of the explanation: no format has a field for them."""
    if question.sources:
        yield f"<p>{words.sources}</p>"
        yield f"<ul>{''.join(f'<li>{plain(source)}</li>' for source in question.sources)}</ul>"


def _read(names: dict[str, str], root: Path, note: Note) -> dict[str, bytes]:
    """Read the pictures, none from outside the questions folder."""
    pictures: dict[str, bytes] = {}
    for name, path in names.items():
        try:
            file = (root / path).resolve(strict=True)
            if file.is_relative_to(root.resolve()) and file.is_file() and file.stat().st_size <= MAX_PICTURE:
                pictures[name] = file.read_bytes()
                continue
            reason = f"it is larger than {MAX_PICTURE // 2**20} MiB, or outside the questions folder"
        except OSError as error:
            reason = error.strerror or str(error)
        note(f'the picture "{path}" is missing from the export: {reason}')
    return pictures
