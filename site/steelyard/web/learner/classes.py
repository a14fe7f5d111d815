"""Joining a class by its code, and leaving it."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from steelyard.store import classes
from steelyard.store.classes import LONGEST_PSEUDONYM, ClassInfo
from steelyard.store.lookalikes import likenesses, mixes_scripts
from steelyard.web.app import clock
from steelyard.web.app.database import db
from steelyard.web.app.identity import joined_class, learner_id, note_class
from steelyard.web.app.security import LEARNER, address, limited, limiter, submissions
from steelyard.web.app.state import state
from steelyard.web.learner.invitations import came_by_link
from steelyard.web.learner.pseudonyms import suggestion

bp = Blueprint("classes", __name__)

Page = str | Response | tuple[str, int]


def _asked_code() -> str:
    return classes.normal_code((request.view_args or {})["code"])


# A class of hundreds sits behind one address and types its code at once: only codes that no class has count,
# and of members and those who came by a link nothing does.
guesses = limiter.shared_limit(
    "120 per minute",
    scope="codes",
    key_func=address,
    exempt_when=lambda: _asked_code() == (joined_class() or None) or came_by_link(_asked_code()),
    deduct_when=lambda response: response.status_code == 404 and _asked_code() != "",
)

joins = limited(LEARNER, "submissions", _asked_code)


@bp.get("/join")
def ask() -> Page:
    """Ask for a class's code, and lead to the class."""
    typed = request.args.get("code", "")
    code = classes.normal_code(typed)
    if code:
        return redirect(url_for(".show", code=code))
    return render_template("classes/code.html", typed=typed[:40]), (404 if typed else 200)


@bp.get("/join/<code>")
@guesses
def show(code: str) -> Page:
    """Show a class, and join it, or what one is called in it."""
    group = classes.group(db.session, classes.normal_code(code))
    return _page(group) if group else _unknown(code)


@bp.post("/join/<code>")
@joins
@guesses
def join(code: str) -> Page:
    """Join a class under a pseudonym. Joining once more changes nothing."""
    group = classes.group(db.session, classes.normal_code(code))
    if group is None:
        return _unknown(code)
    pseudonym = classes.tidy(request.form.get("pseudonym", ""))
    if not (1 <= len(pseudonym) <= LONGEST_PSEUDONYM and likenesses(pseudonym)):
        return _page(
            group, trouble=_("A pseudonym has from 1 to %(most)s characters.", most=LONGEST_PSEUDONYM)
        )
    if mixes_scripts(pseudonym):
        return _page(
            group,
            trouble=_(
                "Write the pseudonym in the letters of one script, such as Latin or Japanese: letters of "
                "several can be taken for one another."
            ),
        )
    learner = learner_id()
    if not classes.join(db.session, code=group.code, learner=learner, pseudonym=pseudonym, now=clock.now()):
        db.session.rollback()
        taken = _(
            "Somebody in this class is called %(pseudonym)s already, or nearly so. Here is another one.",
            pseudonym=pseudonym,
        )
        return _page(group, trouble=taken)
    db.session.commit()
    return redirect(url_for(".show", code=group.code), 303)


@bp.post("/join/<code>/leave")
@submissions
@guesses
def leave(code: str) -> Page:
    """Leave a class. Who is not in it stays out."""
    group = classes.group(db.session, classes.normal_code(code))
    if group is None:
        return _unknown(code)
    classes.leave(db.session, code=group.code, learner=learner_id())
    db.session.commit()
    note_class(None)
    flash(_("You have left the class %(name)s. Your answers stay yours.", name=group.name))
    return redirect(url_for("home.index"), 303)


def _page(group: ClassInfo, *, trouble: str | None = None) -> Page:
    pseudonym = classes.pseudonym_of(db.session, group.code, learner_id())
    if pseudonym is not None:
        note_class(group.code)
    page = render_template(
        "classes/join.html",
        group=group,
        pseudonym=pseudonym,
        suggestion=suggestion(),
        most=LONGEST_PSEUDONYM,
        quizzes=list(state().bank.quizzes.values()),
        trouble=trouble,
    )
    return page, 400 if trouble else 200


def _unknown(code: str) -> Page:
    return render_template("classes/code.html", typed=code[:40]), 404
