"""Run a demo from its technique's page: on this machine only, off by default, one at a time.

`steelyard serve --with-demos` makes a `Lab` and hands it to `create_app`; no variable of the environment
does, so a worker of gunicorn never has one. Loopback is shared on GPU servers, and reached through tunnels,
so a request has to pass all of these:

- the settings: neither public, nor hosts beside this machine's own names (a foreign Host gets 400);
- `guard.refusal`: from this machine, past no proxy, not under gunicorn; on Linux by this user (`peer`), since
  browsers send a session's cookie to every port of the machine, where others may listen;
- `guard.Guard`: a session that was opened with the link from the terminal, which serves once;
- for what changes something: POST, the form's token against forgery, and this site as its Origin;
- `options.arguments`: options that the demo itself names, in its own bounds, as words of a command line that
  no shell reads;
- `ask.words`: of a model to predict its config.json, JSON of bounded length, written anew under a name of
  this site's making; the demo runs no code that it names (and with the hub switched off could fetch none).

The queue is a thread of this process. What waits in it, and the list of past runs, end with the process; the
records stay in `demos/out` and are never published from here.
"""

from __future__ import annotations

from flask import Flask, Response

from steelyard.settings import LOCAL_HOSTS, Settings, SettingsError
from steelyard.web.app.security import CONTENT_SECURITY_POLICY
from steelyard.web.evidence import techniques
from steelyard.web.lab import panels, views
from steelyard.web.lab.panels import EXTENSION
from steelyard.web.lab.queue import Lab
from steelyard.web.planner import plan

__all__ = ["EXTENSION", "Lab", "init_app"]


def init_app(app: Flask, settings: Settings, lab: Lab | None) -> None:
    """Let pages start demos if there is a lab. Raises SettingsError where strangers could reach it."""
    if lab is None:
        return
    if settings.public:
        raise SettingsError(
            "demos are not started from a public site: leave --with-demos or STEELYARD_PUBLIC out"
        )
    if foreign := sorted({*settings.trusted_hosts} - {*LOCAL_HOSTS}):
        raise SettingsError(
            f"STEELYARD_TRUSTED_HOSTS names {', '.join(foreign)}; with --with-demos the site answers to this "
            "machine's own names only, so leave the variable out"
        )
    app.extensions[EXTENSION] = lab
    app.extensions[techniques.RUN_PANEL] = panels.run_panel
    app.extensions[plan.ASK_PANEL] = panels.ask_panel
    app.register_blueprint(views.bp)

    @app.after_request
    def policy(response: Response) -> Response:
        """Let the script of the panel listen to the site; the site's own policy allows no connection."""
        if response.mimetype == "text/html":
            response.headers["Content-Security-Policy"] = f"{CONTENT_SECURITY_POLICY}; connect-src 'self'"
        return response
