"""How many question pages a second one worker serves, beside the least that a Flask page could do.

    python tests/bench/pages.py

The least is a view that reads the signed session, writes a token against forgery into a form, and asks the
database one question: what any page with a form has to do. Both run here in turn, in one process, as WSGI
applications without a network; each figure is the median over the rounds, by this process's own processor time. Aims:
at least 0.85 of the least view's throughput, and at most 3 SQL statements a page.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import Flask, render_template_string, session
from flask_wtf import CSRFProtect
from sqlalchemy.orm import Session
from werkzeug.test import EnvironBuilder

from steelyard import store
from steelyard.settings import Settings
from steelyard.web import create_app
from steelyard.web.app import database

ROUNDS = 15
PAGES_PER_ROUND = 150
AIM_RATIO = 0.85
AIM_STATEMENTS = 3
SECRET = "a secret for the benchmark"

LEAST_PAGE = """\
<!doctype html>
<html lang="en"><head><title>Least</title></head>
<body><p>{{ attempt }}</p>
<form method="post"><input type="hidden" name="csrf_token" value="{{ csrf_token() }}"><button>Answer</button></form>
</body></html>
"""


def least_app(url: str) -> Flask:
    """Return an application whose one view has a session, a token and one query."""
    app = Flask("least")
    app.config.update(SECRET_KEY=SECRET, WTF_CSRF_TIME_LIMIT=None)
    CSRFProtect(app)
    engine = sa.create_engine(url)
    store.tune(engine)

    @app.get("/")
    def page() -> str:
        session.setdefault("learner", "a" * 32)
        learner = session["learner"]
        with Session(engine) as database:
            attempt = database.scalar(sa.select(store.Attempt.id).where(store.Attempt.learner == learner))
        return render_template_string(LEAST_PAGE, attempt=attempt)

    return app


def visitor(app: Flask, url: str, cookies: str = "") -> Callable[[], tuple[str, dict[str, str], bytes]]:
    """Return a function that asks the application for a page once."""
    environ = EnvironBuilder(url, headers={"Cookie": cookies} if cookies else None).get_environ()

    def visit() -> tuple[str, dict[str, str], bytes]:
        got: list[Any] = []
        body = app({**environ}, lambda status, headers, exc_info=None: got.extend((status, headers)))
        data = b"".join(body)
        body.close()  # type: ignore[attr-defined]
        return got[0], dict(got[1]), data

    return visit


def rate(visit: Callable[[], object]) -> float:
    begin = time.process_time()
    for _ in range(PAGES_PER_ROUND):
        visit()
    return PAGES_PER_ROUND / (time.process_time() - begin)


def site(folder: Path) -> tuple[Flask, str, str]:
    """Return the site over the project's own questions, an asked question of an attempt, and its cookie."""
    settings = replace(
        Settings.from_environment({"STEELYARD_DATA": str(folder)}),
        secret_key=SECRET,
        trusted_hosts=("localhost",),
    )
    app = create_app(settings)
    database.migrate(app)
    quiz = max(app.extensions["steelyard"].bank.quizzes.values(), key=lambda quiz: len(quiz.questions))
    client = app.test_client()
    page = client.get(f"/quizzes/{quiz.slug}").text
    token = page.partition('name="csrf_token" value="')[2].partition('"')[0]
    asked = client.post(f"/quizzes/{quiz.slug}", data={"csrf_token": token}).location
    client.get(asked)
    cookie = client.get_cookie("steelyard")
    assert asked and cookie
    return app, asked, f"steelyard={cookie.value}"


def statements(app: Flask, visit: Callable[[], object]) -> int:
    """Return how many SQL statements one visit takes."""
    seen: list[str] = []
    with app.app_context():
        engine = database.db.engine
    listener = lambda *args: seen.append(args[2])  # noqa: E731
    sa.event.listen(engine, "before_cursor_execute", listener)
    visit()
    sa.event.remove(engine, "before_cursor_execute", listener)
    return len(seen)


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="steelyard-bench-"))
    try:
        app, asked, cookie = site(folder)
        page = visitor(app, asked, cookie)
        least_cookie = visitor(least_app(app.config["SQLALCHEMY_ENGINES"]["default"]["url"]), "/")()[1][
            "Set-Cookie"
        ]
        least = visitor(
            least_app(app.config["SQLALCHEMY_ENGINES"]["default"]["url"]), "/", least_cookie.partition(";")[0]
        )
        for visit in (page, least):
            status, _, _ = visit()
            assert status == "200 OK", status
            rate(visit)
        rates = [(rate(page), rate(least)) for _ in range(ROUNDS)]
        ours = statistics.median(ours for ours, _ in rates)
        others = statistics.median(others for _, others in rates)
        ratio = statistics.median(ours / others for ours, others in rates)
        count = statements(app, page)
        size = len(page()[2])
    finally:
        shutil.rmtree(folder)
    print(
        f"question page      {ours:8.0f} pages/s ({size:,} bytes, {count} SQL statements; aim ≤ {AIM_STATEMENTS})"
    )
    print(f"least Flask view   {others:8.0f} pages/s")
    print(f"ratio              {ratio:8.2f} (aim ≥ {AIM_RATIO})")
    return int(count > AIM_STATEMENTS)


if __name__ == "__main__":
    sys.exit(main())
