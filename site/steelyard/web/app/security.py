"""Cookies, CSRF tokens, rate limits and security headers."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import Any, TypeVar, cast

from flask import Flask, Response, request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_wtf import CSRFProtect
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.sansio.utils import host_is_trusted

from steelyard.settings import Settings, SettingsError
from steelyard.web.app.counters import Counters
from steelyard.web.app.identity import is_written, known_learner

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
NEWCOMERS = "600 per minute"
ADDRESS = "6000 per minute"

View = TypeVar("View", bound=Callable[..., Any])


def address() -> str:
    """Return where a request comes from; of IPv6 the /64, since one machine can have all of it."""
    given = get_remote_address()
    try:
        ip = ip_address(given.partition("%")[0])
    except ValueError:  # a proxy may name a visitor otherwise
        return given
    return str(ip if ip.version == 4 else ip_network((ip, 64), strict=False))


limiter = Limiter(key_func=address, storage_uri=f"{Counters.STORAGE_SCHEME[0]}://", headers_enabled=False)


def _limited(each: str, scope: str) -> Callable[[View], View]:
    """Return a decorator for views that write: it counts per learner, and then per address.

    A learner is known by a signed cookie, and a new cookie costs nothing. So whoever is not in the store yet
    counts for their address as well, by a limit that a class which joins and starts at once stays far below,
    and that a script which drops its cookie does not get past. Identities saved up are bounded by the limit
    of all that one address sends.
    """
    limits = (
        limiter.shared_limit(
            each,
            scope=scope,
            key_func=lambda: known_learner() or "",
            exempt_when=lambda: known_learner() is None,
        ),
        limiter.shared_limit(NEWCOMERS, scope="newcomers", key_func=address, exempt_when=is_written),
        limiter.shared_limit(ADDRESS, scope="address", key_func=address),
    )

    def decorate(view: View) -> View:
        limited: Any = view
        for limit in limits:
            limited = limit(limited)
        return cast(View, limited)

    return decorate


submissions = _limited(LEARNER, "submissions")
drafts = _limited(DRAFTS, "drafts")

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
    limiter.init_app(app)
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
