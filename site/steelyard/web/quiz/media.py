"""The pictures beside the questions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from flask import Blueprint, abort, send_file
from werkzeug.wrappers import Response

from steelyard.bank.model import ROOT_QUIZ, Exam
from steelyard.markup.html import IMAGE_TYPES
from steelyard.store import AttemptItem
from steelyard.web.app.state import state
from steelyard.web.quiz import exams
from steelyard.web.quiz.rendered import pinned_edition, rendered

bp = Blueprint("media", __name__)


@bp.get("/media/<path:path>")
def show(path: str) -> Response:
    """Send a picture from inside the questions folder, and nothing else, wherever a link may lead.

    A picture in the folder of an exam-only quiz is for those who take it: that of a question or a choice from
    the start, that of feedback once the results are told.
    """
    folder = state().settings.questions.resolve()
    try:
        file = (folder / path).resolve(strict=True)
    except (OSError, ValueError, RuntimeError):  # the last: links in a circle, before Python 3.13
        abort(404)
    content_type = IMAGE_TYPES.get(file.suffix.lower())  # of the file itself, whatever a link to it is called
    if content_type is None or not file.is_relative_to(folder) or not file.is_file():
        abort(404)
    if not _may_see(file.relative_to(folder)):
        abort(404)
    response: Response = send_file(file, mimetype=content_type, conditional=True)
    # An SVG opened by itself is a document: it may neither run scripts nor act as a page of this site.
    response.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    return response


def _may_see(path: Path) -> bool:
    bank = state().bank
    folders = ("/".join(parent.parts) or ROOT_QUIZ for parent in path.parents)
    slug = next((folder for folder in folders if folder in bank.exams or folder in bank.quizzes), None)
    if slug is None or not bank.exams.get(slug, Exam()).only:
        return True
    attempt = exams.find_only(slug)
    if attempt is None:
        return False
    if not attempt.under_way and not exams.is_sealed(attempt):
        return True
    address = f'/media/{quote(path.as_posix())}"'
    return any(address in html for item in attempt.items for html in _asked(item))


def _asked(item: AttemptItem) -> Iterator[str]:
    """Yield what a question shows before its answer, in every language."""
    edition = pinned_edition(item)
    for language in edition:
        question = rendered(edition, language)
        yield question.stem
        yield from (choice.html for choice in question.choices.values())
