"""A quiz's answers, read from the store and analysed as the question files stand now."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy.orm import Session

from steelyard.bank.model import Bank, Edition, Quiz
from steelyard.statistics import Analysis, Response, Wording, analyse
from steelyard.store import results


def analysis(
    session: Session,
    bank: Bank,
    quiz: Quiz,
    *,
    class_code: str | None,
    language: str | None,
    first_only: bool,
) -> tuple[Analysis, int]:
    """Return the statistics of a quiz, and how many attempts have answers.

    What remains of learners who deleted their data belongs to no class and to no attempt: it is added where
    nobody asks for one class.
    """
    given = results.given(session, quiz.slug, class_code=class_code, language=language, first_only=first_only)
    questions = {*quiz.questions, *(answer.question for answer in given)}
    remains = results.remains(session, questions, language) if class_code is None else []
    digests = {answer.version for answer in given} | {rest.version for rest in remains}
    stored = results.versions(session, digests)
    statistics = analyse(
        [
            Response(answer.attempt, answer.question, answer.version, answer.chosen, answer.score)
            for answer in given
        ],
        quiz.questions,
        {question_id: _wordings(bank, question_id, stored.get(question_id, ())) for question_id in questions},
        remains,
    )
    return statistics, len({answer.attempt for answer in given})


def _wordings(bank: Bank, question: str, stored: Iterable[Edition]) -> list[Wording]:
    """Return what each version says of its choices: the file's as it stands, then the stored ones."""
    asked_now = bank.questions.get(question)
    editions = [asked_now] if asked_now else []
    editions += [edition for edition in stored if not editions or edition.digest != editions[0].digest]
    return [
        Wording(
            edition.digest,
            {
                letter: {
                    language: question.choice(letter).text.source for language, question in edition.items()
                }
                for letter in edition.first.letters
            },
            edition.first.key,
        )
        for edition in editions
    ]
