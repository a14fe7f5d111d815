"""Who may start a demo: this user of this machine, past no proxy, in a session opened by the link."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from ipaddress import ip_address
from threading import Lock

from flask import request, session
from flask_babel import gettext as _

from steelyard.web.lab import peer

_KEY = "lab"


class Guard:
    """The link from the terminal, which serves once, and the sessions that it has opened.

    A session is good as long as this process lives.
    """

    def __init__(self) -> None:
        self._flag = secrets.token_urlsafe(32)
        self._token = secrets.token_urlsafe(32)
        self._lock = Lock()
        self._tell: Callable[[str], None] | None = None

    def announce(self, tell: Callable[[str], None]) -> None:
        """Call `tell` with the valid token now, and with each new one after a use."""
        self._tell = tell
        tell(self._token)

    def opens(self, token: str) -> bool:
        """Open this request's session if the token is the one that counts, which is then used up."""
        with self._lock:
            if not hmac.compare_digest(token.encode(), self._token.encode()):
                return False
            self._token = secrets.token_urlsafe(32)
        if self._tell is not None:
            self._tell(self._token)
        session[_KEY] = self._flag
        return True

    def is_open(self) -> bool:
        """Say whether this request's session was opened with the link."""
        return hmac.compare_digest(str(session.get(_KEY, "")).encode(), self._flag.encode())


def refusal() -> str | None:
    """Return why this request may have nothing to do with demos, in words for people; None if it may."""
    forwarded = [name for name, value in request.headers if _is_forwarding(name)]
    if forwarded:
        return _(
            "This request came through a proxy (it carries %(header)s), so demos cannot be started from it.",
            header=forwarded[0],
        )
    software = str(request.environ.get("SERVER_SOFTWARE", ""))
    if software.startswith("gunicorn") or request.environ.get("wsgi.multiprocess"):
        return _("Demos are started by the local server only: steelyard serve --with-demos.")
    if not _is_loopback(request.remote_addr):
        return _("Demos can be started from the machine only on which this site runs.")
    port, own = request.environ.get("REMOTE_PORT"), int(request.environ["SERVER_PORT"])
    if not peer.is_this_user(request.remote_addr, port, own):
        return _("This request came from another user of this machine, so demos cannot be started from it.")
    return None


def comes_from_here() -> bool:
    """Say whether the browser names this very site, its port included, as where a form was sent from.

    Other ports of one machine share its cookies and count as the same site; they are other origins.
    """
    return request.headers.get("Origin") == request.host_url.rstrip("/")


def _is_forwarding(name: str) -> bool:
    return name.lower().startswith("x-forwarded") or name.lower() in ("forwarded", "via", "x-real-ip")


def _is_loopback(address: str | None) -> bool:
    try:
        return ip_address(address or "").is_loopback
    except ValueError:
        return False
