"""An instructor's classes: the code to join by, the members, extra time, and the end of a class."""

from __future__ import annotations

from flask import abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from steelyard.store import classes, exam_starts, results
from steelyard.store.classes import LONGEST_NAME, MOST_EXTRA, ClassInfo
from steelyard.web.app import clock
from steelyard.web.app.database import db
from steelyard.web.app.state import state
from steelyard.web.instructor.guard import bp, current_instructor
from steelyard.web.learner.invitations import link_key
from steelyard.web.text.qr import qr


@bp.post("/classes")
def create_class() -> Response:
    """Create a class and go to its page."""
    name = classes.tidy(request.form.get("name", ""))
    if not 1 <= len(name) <= LONGEST_NAME:
        flash(_("A class needs a name of at most %(most)s characters.", most=LONGEST_NAME))
        return redirect(url_for(".overview"), 303)
    code = classes.create_class(db.session, name=name, instructor=current_instructor(), now=clock.now())
    db.session.commit()
    return redirect(url_for(".show_class", code=code), 303)


@bp.get("/classes/<code>")
def show_class(code: str) -> str:
    """Show how to join a class, who is in it, and where its results are."""
    group = _own(code)
    scheme = "https" if state().settings.https else None
    address = url_for("classes.show", code=group.code, _external=True, _scheme=scheme)
    link = f"{address}?key={link_key(group.code)}"
    return render_template(
        "instructor/class.html",
        group=group,
        code=classes.shown_code(group.code),
        address=address,
        link=link,
        picture=qr(link),
        fellows=classes.fellows(db.session, group.code),
        quizzes=state().bank.quizzes,
        attempts=results.attempts_by_quiz(db.session, group.code),
        most_extra=MOST_EXTRA,
        former_starts=exam_starts.former_starts(db.session, group.code),
    )


@bp.post("/classes/<code>/extra")
def set_extra(code: str) -> Response:
    """Grant a member extra time in exams that they start from now on."""
    group = _own(code)
    typed = request.form.get("percent", "").strip()
    pseudonym = classes.tidy(request.form.get("pseudonym", ""))
    percent = int(typed) if typed.isascii() and typed.isdigit() and len(typed) <= 3 else MOST_EXTRA + 1
    if percent > MOST_EXTRA:
        flash(_("Extra time is a whole number of per cent from 0 to %(most)s.", most=MOST_EXTRA))
    elif classes.set_extra(db.session, code=group.code, pseudonym=pseudonym, percent=percent):
        db.session.commit()
        flash(
            _(
                "%(pseudonym)s has %(percent)s per cent extra time in exams started from now on.",
                pseudonym=pseudonym,
                percent=percent,
            )
        )
    else:
        flash(_("There is no such member any more."))
    return redirect(url_for(".show_class", code=group.code), 303)


@bp.post("/classes/<code>/remove")
def remove_member(code: str) -> Response:
    """Remove a member. What they answered stays theirs."""
    group = _own(code)
    pseudonym = classes.tidy(request.form.get("pseudonym", ""))
    if classes.remove_member(db.session, code=group.code, pseudonym=pseudonym):
        db.session.commit()
        flash(_("%(pseudonym)s is no longer in this class. Their answers stay theirs.", pseudonym=pseudonym))
    else:
        flash(_("There is no such member any more."))
    return redirect(url_for(".show_class", code=group.code), 303)


@bp.post("/classes/<code>/allow")
def allow_another_start(code: str) -> Response:
    """Let somebody who deleted their data, or left, begin an exam again that is taken once."""
    group = _own(code)
    values = {"pseudonym": request.form.get("pseudonym", ""), "quiz": request.form.get("quiz", "")}
    if "\0" not in "".join(values.values()) and exam_starts.allow_again(
        db.session, code=group.code, **values
    ):
        db.session.commit()
        flash(_("%(pseudonym)s can start this exam again.", pseudonym=values["pseudonym"]))
    else:
        flash(_("There is no such start any more."))
    return redirect(url_for(".show_class", code=group.code), 303)


@bp.get("/classes/<code>/delete")
def ask_to_delete_class(code: str) -> str:
    """Say what deleting a class means, and ask."""
    return render_template("instructor/delete_class.html", group=_own(code))


@bp.post("/classes/<code>/delete")
def delete_class(code: str) -> Response:
    """Delete a class. What its members answered stays theirs."""
    group = _own(code)
    classes.remove_class(db.session, group.code)
    db.session.commit()
    flash(_("The class %(name)s is deleted. What its members answered stays theirs.", name=group.name))
    return redirect(url_for(".overview"), 303)


def _own(code: str) -> ClassInfo:
    """Return a class of this instructor's. Aborts with 404 for any other."""
    group = classes.group(db.session, classes.normal_code(code))
    return group if group and group.instructor == current_instructor() else abort(404)
