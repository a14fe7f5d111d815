"""Error pages: what happened and what to do, without a path or a traceback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Blueprint, Flask, current_app, render_template, request
from flask_babel import gettext as _
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException, SecurityError

from steelyard.web.app.languages import language

Answer = TypeVar("Answer", bound=Callable[[], Any])


def init_app(app: Flask) -> None:
    """Show every HTTP error as a page of the site."""
    app.register_error_handler(HTTPException, show)


def show(error: HTTPException) -> Any:
    """Show an error as a page; an error that carries its own response is returned unchanged."""
    code = error.code or 500
    if code < 400 or error.response is not None:
        return error
    title, advice = _words(error, code)
    headers = [
        (name, value) for name, value in error.get_headers() if name != "Content-Type"
    ]  # such as Allow
    try:
        return render_template("error.html", code=code, title=title, advice=advice), code, headers
    except Exception:
        if not isinstance(error, SecurityError):  # without a host that can be trusted there are no links
            current_app.logger.exception("the page of an error could not be drawn")
        plain = current_app.jinja_env.get_template("error_plain.html")
        return plain.render(title=title, advice=advice, lang=language()), code, headers


def stale_form(bp: Blueprint, view: str) -> Callable[[Answer], Answer]:
    """Return a decorator for what answers a form of this blueprint's `view` whose token is stale.

    What it decorates returns a page, or None to have the error shown. A blueprint can have one.
    """

    def decorate(answer: Answer) -> Answer:
        @bp.errorhandler(CSRFError)
        def answer_stale_form(error: CSRFError) -> Any:
            try:
                page = answer() if request.endpoint == f"{bp.name}.{view}" else None
            except HTTPException as worse:  # such as a question whose file broke since: that is what to tell
                return show(worse)
            return show(error) if page is None else page

        return answer

    return decorate


def _words(error: HTTPException, code: int) -> tuple[str, str]:
    if isinstance(error, CSRFError):
        return _("This form is too old"), _(
            "It was opened in another session, or cookies are switched off. "
            "Go back, reload the page, and send it again."
        )
    match code:
        case 404:
            return _("There is no such page"), _(
                "It may have been moved or renamed. The start page lists every quiz."
            )
        case 405:
            return _("This address takes no such request"), _("Follow the links from the start page.")
        case 413:
            return _("That was too much text"), _(
                "No form of this site is that long. Go back and shorten it."
            )
        case 429:
            return _("That was very fast"), _(
                "More was sent within a minute than this site takes. Wait a minute, go back, and send this "
                "again; nothing that you sent before is lost."
            )
        case 503:
            return _("This cannot be shown right now"), _("Try again in a minute.")
    if code >= 500:
        return _("Something broke on our side"), _(
            "It has been logged. Answers that you sent before are safe. "
            "Try again, or go back to the start page."
        )
    return _("The site did not understand this request"), _("Go back, reload the page, and try again.")
