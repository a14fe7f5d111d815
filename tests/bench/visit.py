"""How much of the server's processor time one learner's visit takes, and where it goes.

    python tests/bench/visit.py [--rounds 5]

A visit is that of the load test (`load.visitor`): start page, class, and one quiz in practice, every fourth as an
exam; a round is as many visits as the mix has. Two figures: what the processes of the public site spend on it, gunicorn
and its workers as `steelyard serve --public` starts them, asked by one client after the other; and what the
application alone spends, in this process without a network, by request. Only processor time is counted, so that other
work on the machine disturbs little; to what disturbs nonetheless, the caches' share, the least Flask view
(`pages.least_app`) is a measure: it is measured between the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import math
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode

import aiohttp
import psutil
from flask import Flask

from steelyard.settings import Settings, sqlite_url
from steelyard.web.app import database
from steelyard.web.start import ready_app

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "support")]

import pages  # noqa: E402
from load.crowd import LANGUAGES, browser  # noqa: E402
from load.journal import Journal  # noqa: E402
from load.run import new_classes, slugs  # noqa: E402
from load.server import HOST, SECRET, Server  # noqa: E402
from load.visitor import Visitor  # noqa: E402

ROUNDS = 5
AIM_MILLISECONDS = 70
LEAST_VIEWS = 100


class Response:
    """What `Visitor` reads of an answer."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self._body = body

    async def text(self) -> str:
        return self._body.decode()


class InProcess:
    """A browser for `Visitor` that calls the application itself, with as little work of its own as can be."""

    def __init__(self, app: Flask, language: str) -> None:
        self._app = app
        self._language = language
        self._cookies: dict[str, str] = {}

    def get(self, path: str, **_: object) -> AbstractAsyncContextManager[Response]:
        return self._ask("GET", path, b"")

    def post(self, path: str, data: Sequence[tuple[str, str]], **_: object) -> Any:
        return self._ask("POST", path, urlencode(data).encode())

    @asynccontextmanager
    async def _ask(self, method: str, path: str, body: bytes) -> AsyncIterator[Response]:
        path, _, query = path.partition("?")
        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": unquote(path),
            "QUERY_STRING": query,
            "SERVER_NAME": HOST,
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": HOST,
            "HTTP_HOST": HOST,
            "HTTP_ACCEPT_LANGUAGE": self._language,
            "HTTP_COOKIE": "; ".join(f"{name}={value}" for name, value in self._cookies.items()),
            "CONTENT_TYPE": "application/x-www-form-urlencoded" if body else "",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        }
        head: list[Any] = []
        answer = self._app(environ, lambda status, headers, _=None: head.extend((status, headers)))
        content = b"".join(answer)
        answer.close()  # type: ignore[attr-defined]
        for name, value in head[1]:
            if name == "Set-Cookie":
                cookie, _, kept = value.partition(";")[0].partition("=")
                self._cookies[cookie] = kept
        yield Response(int(head[0][:3]), dict(head[1]), content)


def mix(quizzes: Sequence[str]) -> range:
    """Return the numbers of one round's visits: each quiz in each language, a quarter of them exams."""
    return range(math.lcm(len(quizzes), 4, len(LANGUAGES)))


def in_process(url: str, rounds: int) -> tuple[list[float], Journal]:
    """Return the milliseconds of a visit in each round, and the last round's journal, without a network."""
    settings = Settings.from_environment({"STEELYARD_PUBLIC": "1", "STEELYARD_DATABASE_URL": url})
    app = ready_app(replace(settings, secret_key=SECRET, trusted_hosts=(HOST,)))
    database.migrate(app)
    (code,), quizzes = new_classes(url, 1), slugs()
    taken = []
    for _ in range(rounds + 1):  # the first fills the caches
        journal = Journal()
        for number in mix(quizzes):
            browser: Any = InProcess(app, LANGUAGES[number % len(LANGUAGES)])
            visitor = Visitor(browser, journal, seed=number, think=0, clock=time.process_time)
            asyncio.run(visitor.visit(number, code, quizzes))
        taken.append(sum(map(sum, journal.milliseconds.values())) / len(mix(quizzes)))
    return taken[1:], journal


async def served(folder: Path, rounds: int, between: Callable[[], None]) -> list[float]:
    """Return the milliseconds that the site's processes spend on a visit in each round."""
    url = sqlite_url(folder / "data")
    server = Server(folder, url)
    (code,), quizzes = new_classes(url, 1), slugs()
    await server.start()
    taken = []
    try:
        async with aiohttp.TCPConnector(keepalive_timeout=1.0) as connector:
            for _ in range(rounds + 2):  # four workers' caches take longer to fill
                between()
                journal = Journal()
                begin = spent(server.pid)
                for number in mix(quizzes):
                    async with browser(server.address, connector, number) as session:
                        visitor = Visitor(session, journal, seed=number, think=0)
                        await visitor.visit(number, code, quizzes)
                taken.append(1e3 * (spent(server.pid) - begin) / len(mix(quizzes)))
    finally:
        server.stop()
    return taken[2:]


def spent(pid: int) -> float:
    """Return the processor time of a process and its children in seconds."""
    times = [process.cpu_times() for process in _family(pid)]
    return sum(time.user + time.system for time in times)


def _family(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"rounds that count (default: {ROUNDS})")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="steelyard-bench-") as name:
        folder = Path(name)
        alone, journal = in_process(sqlite_url(folder / "alone"), rounds)
        least_app = pages.least_app(sqlite_url(folder / "alone"))
        cookie = pages.visitor(least_app, "/")()[1]["Set-Cookie"].partition(";")[0]
        least = pages.visitor(least_app, "/", cookie)
        leasts: list[float] = []
        all_in_all = asyncio.run(served(folder, rounds, lambda: leasts.append(cost(least))))
    visits = len(mix(slugs()))
    for route, times in sorted(journal.milliseconds.items(), key=lambda each: -sum(each[1])):
        print(
            f"{route:28}{len(times) / visits:7.2f} a visit{statistics.median(times):8.2f} ms each"
            f"{sum(times) / visits:8.2f} ms a visit"
        )
    requests = sum(map(len, journal.milliseconds.values())) / visits
    unit, whole = statistics.median(leasts), statistics.median(all_in_all)
    print(f"a visit            {requests:8.1f} requests")
    print(f"application alone  {statistics.median(alone):8.1f} ms of processor time")
    print(
        f"with its server    {whole:8.1f} ms (aim ≤ {AIM_MILLISECONDS}; "
        f"rounds from {min(all_in_all):.1f} to {max(all_in_all):.1f})"
    )
    print(f"least Flask view   {unit:8.2f} ms; a visit costs as much as {whole / unit:.0f} of them")
    return 0


def cost(visit: Callable[[], object]) -> float:
    """Return the milliseconds of processor time that one call takes."""
    begin = time.process_time()
    for _ in range(LEAST_VIEWS):
        visit()
    return 1e3 * (time.process_time() - begin) / LEAST_VIEWS


if __name__ == "__main__":
    sys.exit(main())
