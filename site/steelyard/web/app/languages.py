"""The language and the theme of a page: by the address, else by a cookie, else by the browser."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from flask import Flask, Response, g, request
from flask_babel import Babel, get_translations
from markupsafe import Markup

LANGUAGES = {"en": "English", "ja": "日本語"}
THEMES = ("auto", "light", "dark")
YEAR = 365 * 24 * 3600

babel = Babel()


def language() -> str:
    """Return the language of this page, a key of LANGUAGES."""
    if "language" not in g:
        g.language = _chosen("lang", tuple(LANGUAGES)) or request.accept_languages.best_match(LANGUAGES, "en")
    chosen: str = g.language
    return chosen


def theme() -> str:
    """Return the theme of this page, one of THEMES."""
    return _chosen("theme", THEMES) or "auto"


def here(**changes: str) -> str:
    """Return the address of this page with some of its arguments changed.

    A page that answers a form may have another address than the form: then it says so in `g.shown_at`.
    """
    path = g.get("shown_at", f"{request.script_root}{quote(request.path)}")
    return f"{path}?{urlencode({**request.args.to_dict(), **changes})}"


def init_app(app: Flask) -> None:
    """Choose each page's language and theme, and remember them in cookies."""
    app.config["BABEL_TRANSLATION_DIRECTORIES"] = "translations"
    babel.init_app(app, locale_selector=language)
    app.jinja_env.globals.update({"_": word, "here": here, "LANGUAGES": LANGUAGES})

    @app.context_processor
    def choices() -> dict[str, str]:
        return {"lang": language(), "theme": theme()}

    @app.after_request
    def remember(response: Response) -> Response:
        if request.endpoint == "static":
            return response
        response.vary.update(("Accept-Language", "Cookie"))
        for name, allowed in (("lang", tuple(LANGUAGES)), ("theme", THEMES)):
            asked = request.args.get(name)
            if asked in allowed and asked != request.cookies.get(name):
                secure = app.config["SESSION_COOKIE_SECURE"]
                response.set_cookie(name, asked, max_age=YEAR, httponly=True, samesite="Lax", secure=secure)
        return response


_words: dict[tuple[str, str], Markup] = {}


def word(text: str, **variables: object) -> Markup:
    """Return what a template calls `text` in the page's language, with the variables filled in and escaped.

    A page asks for dozens of words, and only templates ask here: each is looked up once per worker.
    """
    key = language(), text
    if key not in _words:
        _words[key] = Markup(get_translations().ugettext(text))  # noqa: S704 (the project's own words)
    return _words[key] % variables if variables else _words[key]


def _chosen(name: str, allowed: tuple[str, ...]) -> str | None:
    for value in (request.args.get(name), request.cookies.get(name)):
        if value in allowed:
            return value
    return None
