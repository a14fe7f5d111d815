"""One page per question: guess, answer, and then see why, and what the scale says."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import quote

from flask import Blueprint, abort, flash, redirect, render_template, request, session, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from steelyard import store
from steelyard.bank.model import Question, slug_of
from steelyard.grading import counted, grade
from steelyard.store import Edition, Seat, Sitting
from steelyard.web.app import clock
from steelyard.web.app.database import db
from steelyard.web.app.errors import stale_form
from steelyard.web.app.identity import TURN, learner_id
from steelyard.web.app.languages import language
from steelyard.web.app.security import submissions
from steelyard.web.app.state import state
from steelyard.web.evidence.cards import compared_precision, side_words, weighed_claims
from steelyard.web.quiz import exams
from steelyard.web.quiz.order import shuffled
from steelyard.web.quiz.rendered import Shown, pinned, shown
from steelyard.web.text.percent import parse_percent
from steelyard.web.text.scale import scale_low
from steelyard.web.text.vocabulary import how_words, work_words

bp = Blueprint("questions", __name__)

Page = str | Response | tuple[str, int]


@bp.get("/questions/<path:id>")
def show(id: str) -> Page:
    """Show a question, or what came of answering it."""
    asked = request.args.get("attempt")
    if asked is None:
        return _ask(_open(id, None))
    sitting = exams.find(asked)
    seat = sitting.seat(id) if sitting else None
    if sitting is None or seat is None:  # somebody else's link
        return exams.gone(slug_of(id)) if state().bank.is_exam_only(id) else redirect(url_for(".show", id=id))
    if sitting.under_way:
        return exams.ask(sitting, seat)
    if exams.is_sealed(sitting):
        return redirect(url_for("attempts.show", id=asked))
    place = _open(id, sitting)
    return _tell(place) if place.seat and place.seat.answered else _ask(place)


@bp.post("/questions/<path:id>")
@submissions
def answer(id: str) -> Page:
    """Grade an answer and go to the page that tells what came of it. The first answer to an item stands."""
    attempt = request.form.get("attempt", "")
    if not re.fullmatch(r"[0-9a-f]{32}", attempt):
        abort(400)
    sitting = exams.find(attempt)
    seat = sitting.seat(id) if sitting else None
    if sitting is not None and seat is None:
        abort(404)
    chosen = request.form.getlist("choice")
    if sitting and seat and sitting.mode == "exam":
        return exams.save(sitting, seat) if sitting.under_way else exams.late(attempt, id, chosen)
    if request.form.get("mode") == "exam":  # its learner has left, or this is another one
        return exams.gone(slug_of(id))
    place = _open(id, sitting, attempt)
    if place.seat and place.seat.answered:
        return _stands(place.seat, chosen, id, attempt)
    if trouble := _trouble(place.shown, chosen):
        return _ask(place, trouble=trouble, status=400)
    if sitting is None and request.form.get("face") != place.shown.face:
        changed = _(
            "The question has been edited since you opened it. This is the new wording; please answer it."
        )
        return _ask(place, trouble=changed, status=409)
    if not _record(place, frozenset(chosen)):
        sitting = store.sitting(db.session, attempt, learner_id())
        return _stands(sitting.seat(id) if sitting else None, chosen, id, attempt)
    return redirect(url_for(".show", id=id, attempt=attempt), 303)


def _stands(seat: Seat | None, chosen: Collection[str], id: str, attempt: str) -> Response:
    """Go to the answer that was there before this one, and say so when it is another one."""
    if seat and set(chosen) != set(seat.chosen or ""):
        flash(_("You had answered this question already. Your first answer stands."))
    if attempt == _next_attempt(id):  # the session did not hear of its own answer: the next one is a new turn
        _turn()
    return redirect(url_for(".show", id=id, attempt=attempt), 303)


@stale_form(bp, "answer")
def ask_again() -> Page:
    """Show the form again, with what was chosen, when its token is stale."""
    id = (request.view_args or {})["id"]
    attempt = request.form.get("attempt", "")
    sitting = exams.find(attempt)
    seat = sitting.seat(id) if sitting else None
    if seat is None:
        sitting = None
    trouble = _(
        "Your browser's session had ended, so the answer was not taken yet. What you chose is still marked: "
        "send it again."
    )
    if sitting and seat and sitting.mode == "exam":
        if sitting.under_way:
            return exams.ask(sitting, seat, trouble=trouble, status=400)
        return exams.late(attempt, id, request.form.getlist("choice"))
    if request.form.get("mode") == "exam":
        return exams.gone(slug_of(id))
    return _ask(_open(id, sitting), trouble=trouble, status=400)


# ---- a question and where it stands ---------------------------------------------------------------------


@dataclass(frozen=True)
class _Place:
    """A question in its attempt, or in one that begins with the answer."""

    edition: Edition
    shown: Shown
    attempt: str
    letters: str
    sitting: Sitting | None
    seat: Seat | None

    @property
    def question(self) -> Question:
        return self.shown.question


def _open(id: str, sitting: Sitting | None, attempt: str | None = None) -> _Place:
    """Return a question as pinned by its attempt, else as it stands in the bank. Aborts without one."""
    seat = sitting.seat(id) if sitting else None
    if state().bank.is_exam_only(id) and (sitting is None or sitting.mode != "exam"):
        abort(404)
    if seat:
        edition = pinned(seat)
    elif twins := state().bank.practice.get(id):
        edition = Edition(twins)
    elif state().bank.regrade(id):
        abort(Response(render_template("questions/regraded.html"), 410, mimetype="text/html"))
    else:
        abort(_missing(id))
    attempt = sitting.id if sitting else attempt or _next_attempt(id)
    letters = seat.letters if seat else shuffled(edition.first, attempt)
    return _Place(edition, shown(edition, language()), attempt, letters, sitting, seat)


def _missing(id: str) -> int | Response:
    """Return what stands in a question's place: locally the problems of its file."""
    problems = state().bank.broken.get(id)
    if problems is None:
        return 404
    if state().settings.public:
        return 503
    return Response(render_template("questions/broken.html", id=id, problems=problems), 503)


def _next_attempt(id: str) -> str:
    """Return the id of the attempt that begins if this question is answered alone; the same until it is."""
    turn = session.get(TURN, 0)
    return hashlib.sha256(f"{learner_id()}/{turn}/{id}".encode()).hexdigest()[:32]


def _turn() -> None:
    session[TURN] = session.get(TURN, 0) + 1


# ---- asking ---------------------------------------------------------------------------------------------


def _ask(place: _Place, *, trouble: str | None = None, status: int = 200) -> Page:
    chosen = request.form.getlist("choice") if request.method == "POST" else []
    page = render_template(
        "questions/ask.html",
        place=place,
        quiz=_quiz(place),
        chosen=set(chosen),
        guess=request.form.get("guess", "")[:20],
        trouble=trouble,
        figure=_guess_about(place.shown),
        file_links=_file_links(place.question),
    )
    return (page, status) if status != 200 else page


@dataclass(frozen=True)
class GuessAbout:
    """What is to be guessed before answering, in words."""

    of: str
    against: str
    how: str
    work: str
    precision: str | None


def _guess_about(shown: Shown) -> GuessAbout | None:
    if shown.figure is None:
        return None
    _claim, finding = shown.figure
    of, against = finding.test.of or {}, finding.test.against or {}
    assert finding.setup is not None
    return GuessAbout(
        side_words(of, against),
        side_words(against, of),
        how_words(finding.kind, finding.device),
        work_words(finding.setup),
        compared_precision(finding),
    )


@dataclass(frozen=True)
class FileLinks:
    """Where a question's file is, and where it is edited and reported, if the settings say so."""

    place: str
    edit_url: str | None
    report_url: str | None


def _file_links(question: Question) -> FileLinks:
    path, line = question.path, question.stem.line

    def filled(pattern: str | None) -> str | None:
        return pattern.replace("{path}", quote(path)).replace("{line}", str(line)) if pattern else None

    settings = state().settings
    return FileLinks(f"{path}:{line}", filled(settings.edit_url), filled(settings.report_url))


def _trouble(question: Shown, chosen: Collection[str]) -> str | None:
    """Return why this form cannot be graded, worded for the learner."""
    if not chosen:
        return _("Choose at least one answer.")
    if trouble := exams.unfit(question, chosen):
        return trouble
    guess = request.form.get("guess", "").strip()
    if question.figure and guess and parse_percent(guess) is None:
        return _(
            "The guess is a number of per cent, at most 100. Leave it empty if you would rather not guess."
        )
    return None


def _record(place: _Place, chosen: frozenset[str]) -> bool:
    """Write the answer down, with its guess; return False when another one came first, which then stands."""
    now = clock.now()
    question = place.question
    if place.sitting is None:
        item = store.Planned(question.id, place.edition, place.letters)
        store.start(
            db.session,
            attempt=place.attempt,
            learner=learner_id(),
            quiz=None,
            mode="review" if request.form.get("mode") == "review" else "practice",
            items=[item],
            now=now,
        )
        if store.sitting(db.session, place.attempt, learner_id()) is None:  # somebody else's id
            db.session.rollback()
            abort(400)
        _turn()
    first = store.append_answer(
        db.session,
        attempt=place.attempt,
        question=question.id,
        chosen="".join(sorted(chosen)),
        score=grade(question, chosen).score,
        language=question.language,
        now=now,
    )
    guess = parse_percent(request.form.get("guess", "").strip())
    if first and place.shown.figure and guess is not None:
        claim, finding = place.shown.figure
        store.append_guess(
            db.session,
            attempt=place.attempt,
            question=question.id,
            claim=claim,
            value=guess,
            measured=finding.value or 0.0,
            now=now,
        )
    db.session.commit()
    return first


# ---- telling --------------------------------------------------------------------------------------------


def _tell(place: _Place) -> str:
    assert place.sitting is not None and place.seat is not None
    chosen = frozenset(place.seat.chosen or "")
    regrade = state().bank.regrade(place.question.id)
    return render_template(
        "questions/tell.html",
        place=place,
        quiz=_quiz(place),
        chosen=chosen,
        grade=grade(place.question, chosen),
        regrade=regrade,
        counts=counted(place.seat.score, regrade),
        found=len(chosen & place.question.key),
        wrong=len(chosen - place.question.key),
        low=scale_low(value for value in (place.seat.guess, place.seat.measured) if value is not None),
        evidence=weighed_claims(place.shown.judgements.values()),
        file_links=_file_links(place.question),
        next=place.sitting.after(place.question.id) if place.sitting.mode == "exam" else place.sitting.next,
        review=store.reviewed(db.session, place.sitting.id, learner_id())
        if place.sitting.mode == "review"
        else None,
    )


def _quiz(place: _Place) -> object:
    slug = place.sitting.quiz if place.sitting else None
    return state().bank.quizzes.get(slug) if slug else None
