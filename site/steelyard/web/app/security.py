"""Cookies, CSRF tokens, rate limits and security headers."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address, ip_network

from flask import Flask, Response, request, session
from flask_wtf import CSRFProtect
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.sansio.utils import host_is_trusted

from steelyard.settings import Settings, SettingsError
from steelyard.web.app.identity import is_written, joined_class, known_learner
from steelyard.web.app.limiter import Limiter, View

MAX_FORM_BYTES = 64 * 1024
MAX_FORM_PARTS = 200

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), interest-cohort=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

csrf = CSRFProtect()


# ---- limits -----------------------------------------------------------------------------------------------

# Counted by each worker for itself: four workers let up to four times as much through, and a restart forgets.
LEARNER = "60 per minute"
DRAFTS = "120 per minute"  # a script saves each change in an exam
LOGINS = "60 per minute"
NEWCOMERS = "600 per minute"
ADDRESS = "6000 per minute"


def address() -> str:
    """Return where a request comes from; of IPv6 the /64, since one machine can have all of it."""
    given = request.remote_addr or "127.0.0.1"  # a socket file has none
    try:
        ip = ip_address(given.partition("%")[0])
    except ValueError:  # a proxy may name a visitor otherwise
        return given
    return str(ip if ip.version == 4 else ip_network((ip, 64), strict=False))


limiter = Limiter()


def _visitor() -> str:
    """Return whom a form comes from: a learner, or the session to which a page gave the form's token.

    A session that is sent again and again is one visitor, although each of its forms makes a new learner.
    """
    return known_learner() or str(session.get("csrf_token", ""))


def limited(each: str, scope: str, class_code: Callable[[], str] = joined_class) -> Callable[[View], View]:
    """Return a decorator for views that write: it counts per visitor, and then per address and class.

    A visitor is known by a signed cookie, and a new cookie costs nothing. So whoever is not in the store yet
    counts for their address as well, once they have written something, by a limit that a class which joins
    and starts at once stays far below, and that a script which drops its cookie does not get past. Identities
    saved up are bounded by the limit of all that one address sends.

    A class sits behind one address, perhaps with such a script. So members of a class count with one another,
    newcomers who join it with its other newcomers, and who is in the store apart from who is not: the script
    stops those of its own kind, unless it joins the class, where its pseudonyms are seen.
    """

    def crowd() -> str:
        return f"{address()} {class_code()}"

    limits = (
        limiter.shared_limit(each, scope=scope, key_func=_visitor),
        limiter.shared_limit(
            NEWCOMERS,
            scope="newcomers",
            key_func=crowd,
            exempt_when=is_written,
            deduct_when=lambda response: response.status_code < 400,
        ),
        limiter.shared_limit(ADDRESS, scope="address", key_func=lambda: f"{crowd()} {is_written()}"),
    )

    def decorate(view: View) -> View:
        for limit in reversed(limits):  # the first is asked first
            view = limit(view)
        return view

    return decorate


submissions = limited(LEARNER, "submissions")
drafts = limited(DRAFTS, "drafts")

# ---- the application --------------------------------------------------------------------------------------


def init_app(app: Flask, settings: Settings) -> None:
    """Set up sessions, CSRF protection, rate limits, trusted hosts and headers. Raises SettingsError."""
    app.config.from_mapping(
        SECRET_KEY=settings.secret_key,
        TRUSTED_HOSTS=_hosts(settings.trusted_hosts),
        MAX_CONTENT_LENGTH=MAX_FORM_BYTES,
        MAX_FORM_MEMORY_SIZE=MAX_FORM_BYTES,
        MAX_FORM_PARTS=MAX_FORM_PARTS,
        SESSION_COOKIE_NAME="steelyard",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=settings.https,
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=365 * 24 * 3600,
        # A token lives as long as its session: a learner may read for an hour before answering.
        WTF_CSRF_TIME_LIMIT=None,
    )
    csrf.init_app(app)
    limiter.reset()  # an application counts for itself
    if settings.proxies:
        seen_through = ProxyFix(app.wsgi_app, x_for=settings.proxies, x_proto=settings.proxies)
        app.wsgi_app = seen_through  # type: ignore[method-assign]

    @app.after_request
    def headers(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)  # a picture's own policy is stricter still
        if settings.https:
            response.headers["Strict-Transport-Security"] = "max-age=31536000"
        if request.endpoint != "static":
            response.headers.setdefault("Cache-Control", "private, no-cache")
        return response


def own_host(app: Flask) -> str:
    """Return a name by which the application lets itself be asked."""
    name: str = app.config["TRUSTED_HOSTS"][0]
    return name.removeprefix(".")


def _hosts(trusted: tuple[str, ...]) -> list[str]:
    """Return the names as they stand in an address (`xn--…`). Raises SettingsError for one that never can."""
    hosts = []
    for name in trusted:
        try:
            host = name.removeprefix(".").encode("idna").decode("ascii").lower()
        except UnicodeError:
            host = ""
        if not host_is_trusted(host, [host]):
            raise SettingsError(
                f"STEELYARD_TRUSTED_HOSTS names {name!r}, which is no host name, such as quiz.example.org"
            )
        hosts.append(f".{host}" if name.startswith(".") else host)
    return hosts
