"""The local server: this machine only, the embedded database, and a saved question live at once."""

from __future__ import annotations

import logging
import os
import shlex
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import click
from flask import Flask
from sqlalchemy import make_url
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from steelyard.bank.model import Bank
from steelyard.checks import check
from steelyard.settings import Settings, SettingsError
from steelyard.web import create_app
from steelyard.web.app.database import migrate
from steelyard.web.app.state import EXTENSION, State
from steelyard.web.lab import Lab
from steelyard.web.start import ready_app

LOCAL = "127.0.0.1"
PORTS_TRIED = 50

# Threads, since a browser may open a connection and send nothing, which would keep a worker without threads
# from everybody else. Loaded before the fork, the application starts once and its questions are in memory
# once; it holds no connection to a database yet that the workers could share (tests/web/test_serve.py).
PRODUCTION = "gunicorn --preload --workers 4 --threads 4 --bind {host}:8000 'steelyard.web.start:ready_app()'"
ANYWHERE = "0.0.0.0"  # noqa: S104 (a site that no proxy stands before has to be reached somehow)

BEHIND_A_PROXY = (
    "It listens on this machine alone: visitors come through the proxy, such as docs/deploy/nginx.conf."
)
NO_PROXY = (
    "No proxy stands before it (STEELYARD_PROXIES is 0), and then nothing protects it from clients that\n"
    "send or read slowly: some dozens of half-sent requests keep all threads. Use docs/deploy/nginx.conf."
)

Say = Callable[[str], None]


def serve(
    port: int = 8000,
    public: bool = False,
    questions: Path | None = None,
    with_demos: bool = False,
    say: Say = click.echo,
) -> None:
    """Serve this machine until interrupted; for a public site, prepare it and say how it is run.

    `with_demos` lets technique pages start demos; the one under way ends with the server. Raises
    click.ClickException, worded for people, for settings with which a site must not start, when no port is
    free, and when the data folder cannot be written or the database does not answer.
    """
    demos: Lab | None = None
    try:
        if public:
            if with_demos:
                raise SettingsError("--public and --with-demos exclude each other: strangers start nothing")
            publish(questions, say)
            return
        settings = Settings.from_environment()
        if questions:
            settings = replace(settings, questions=questions.absolute())
        demos = _demos(settings) if with_demos else None
        server = prepare(settings, port, say, demos)
    except (SettingsError, OSError) as error:
        raise click.ClickException(str(error)) from None
    usual = signal.signal(signal.SIGTERM, _interrupt)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        say("")
    finally:
        server.server_close()
        if demos is not None:
            demos.close()
        signal.signal(signal.SIGTERM, usual)


def _interrupt(*_: object) -> None:
    """Treat SIGTERM as Ctrl-C, so that a running demo does not outlive the site."""
    raise KeyboardInterrupt


def _demos(settings: Settings) -> Lab:
    """Return the queue of the demos. Raises SettingsError where they cannot run."""
    if os.name != "posix":
        raise SettingsError("--with-demos needs process groups, which this system lacks; run demos by hand")
    if missing := [name for name in ("torch", "transformers") if find_spec(name) is None]:
        raise SettingsError(
            f"--with-demos: the demos need {' and '.join(missing)}; make demos installs what they need, "
            "and so does pip install 'steelyard[demos]'"
        )
    return Lab(settings.demos, settings.demos / "out")


def publish(questions: Path | None, say: Say) -> None:
    """Check the settings of a public site, bring its database up to date, and print its command.

    The settings checked are exactly those that the command starts with, which says itself that the site is
    public. Raises SettingsError; the text then names the command too.
    """
    added = {"STEELYARD_PUBLIC": "1"}
    if questions:
        added["STEELYARD_QUESTIONS"] = str(questions.absolute())
    settings = None
    try:
        settings = Settings.from_environment({**os.environ, **added})
        app = create_app(settings)
    except SettingsError as error:
        command = _command(added, settings)
        raise SettingsError(f"{error}\nIn production, run with the same settings:\n  {command}") from None
    migrate(app)
    command = _command(added, settings)
    say(f"The settings are complete and the database is up to date. Run:\n  {command}")
    say(BEHIND_A_PROXY if settings.proxies else NO_PROXY)


def _command(added: Mapping[str, str], settings: Settings | None) -> str:
    """Return the production command: of a site behind a proxy, only this machine reaches the port."""
    python = shlex.quote(sys.executable)  # a shell finds no gunicorn unless the environment is activated
    host = ANYWHERE if settings is not None and not settings.proxies else LOCAL
    words = *(f"{name}={shlex.quote(value)}" for name, value in added.items()), python, "-m"
    return " ".join([*words, PRODUCTION.format(host=host)])


def prepare(settings: Settings, port: int, say: Say, demos: Lab | None = None) -> BaseWSGIServer:
    """Return the local server, listening, with its database up to date and its questions watched."""
    settings = settings.with_local_secret()
    app = ready_app(settings, demos)
    migrate(app)
    listener = _listen(port)
    host, actual = listener.getsockname()[:2]
    if port not in (0, actual):
        say(f"Port {port} is taken; using {actual}.")
    say(f"Steelyard on http://{host}:{actual}/")
    say(f"  questions  {settings.questions}")
    say(f"  answers    {make_url(settings.database_url).render_as_string(hide_password=True)}")
    if demos is not None:
        link = f"http://{host}:{actual}/lab/open?token="
        demos.guard.announce(
            lambda token: say(f"To start demos, open this link; it serves once:\n  {link}{token}")
        )
    _watch(app, say)
    server = make_server(host, actual, app, threaded=True, request_handler=_Quiet, fd=listener.detach())
    return server


def _listen(port: int) -> socket.socket:
    """Return a socket that listens on `port`, else on the next free one."""
    taken: OSError | None = None
    for number in range(port, min(port + PORTS_TRIED, 65536)):
        try:
            return socket.create_server((LOCAL, number))
        except OSError as error:
            taken = error
    raise OSError(f"no port from {port} to {port + PORTS_TRIED - 1} is free: {taken}")


def _watch(app: Flask, say: Say) -> None:
    """Reload a question as soon as it is saved, and print the files' errors when they change."""
    state: State = app.extensions[EXTENSION]
    reported: set[str] = set()

    def tell(bank: Bank) -> None:
        now = {str(problem) for problem in check(bank, state.records) if problem.is_error}
        for line in sorted(now - reported):
            say(line)
        if reported and not now:
            say("All problems of the question files are mended.")
        reported.clear()
        reported.update(now)

    tell(state.bank)
    state.live_bank.watch(tell)
    state.live_records.watch()


class _Quiet(WSGIRequestHandler):
    """Logs errors only, and no request: visits are not recorded."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass

    def log_error(self, format: str, *args: object) -> None:  # noqa: A002 (as the base class has it)
        logging.getLogger("steelyard").error(format, *args)
