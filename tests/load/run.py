"""make load: five hundred learners take quizzes and exams over the whole site, on either database.

    PYTHONPATH=tests:tests/support python -m load.run [--learners 500] [--think 20] [--database sqlite] [--cores 0/1]

The site runs as `steelyard serve --public` says, over the project's own questions; SQLite keeps its file in a temporary
folder, PostgreSQL is a server of this script's own that waits for the disk. All learners come from one address within
`--arrive` seconds and join a class, of two hundred each: more who are new are not let in within a minute; three out of four take a quiz in practice, the fourth sits it as an exam. A
person thinks for a minute or two about a question; here it is `--think` seconds in the mean, so that five hundred
learners ask as much as several thousand would. Clients run on the same machine, and take their share of it: unless told, of the
same cores; by `--cores 0/1` the site with its database has core 0 and the clients core 1 (`0,1/2,3`: two each).

At the end every answer and every save that was acknowledged has to be in the store, with the chosen letters, and
no other answer may be there; times are printed by route. The exit status is 1 when an answer is lost or doubled, or a
request failed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from math import ceil
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session

from load.crowd import crowd
from load.journal import Journal, audit
from load.server import Server
from load.visitor import Visitor
from postgresql import server as postgresql
from steelyard.bank.load import load
from steelyard.settings import project_data, sqlite_url
from steelyard.store import classes, instructors

DATABASES = ("sqlite", "postgresql")
CLASS = 200


def slugs() -> list[str]:
    """Return the project's quizzes that can be practised, by name."""
    bank = load(project_data() / "questions")
    return sorted(slug for slug, quiz in bank.quizzes.items() if quiz.questions and not quiz.exam.only)


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """Give the URL of an empty database of this kind."""
    if kind == "sqlite":
        yield sqlite_url(folder / "data")
        return
    with postgresql(durable=True) as make:
        yield make()


def new_classes(url: str, learners: int) -> list[str]:
    """Make an instructor with classes for so many learners, and return the classes' codes."""
    engine = sa.create_engine(url)
    with Session(engine) as session:
        now = datetime.now(UTC)
        instructors.add_instructor(session, name="ada", password="never asked for", now=now)
        names = [f"Class {number}" for number in range(1, ceil(learners / CLASS) + 1)]
        codes = [classes.create_class(session, name=name, instructor="ada", now=now) for name in names]
        session.commit()
    engine.dispose()
    return codes


async def take_quizzes(
    server: Server, journal: Journal, codes: Sequence[str], learners: int, think: float, arrive: float
) -> float:
    """Let everybody join a class and take one quiz; return the seconds that it took."""
    quizzes = slugs()

    async def life(visitor: Visitor, number: int) -> None:
        await asyncio.sleep(arrive * number / learners)
        await visitor.visit(number, codes[number % len(codes)], quizzes)

    await server.start()
    begun = time.perf_counter()
    try:
        await crowd(server, journal, learners, life, think=think)
    finally:
        seconds = time.perf_counter() - begun
        server.stop()
    return seconds


def report(journal: Journal, server: Server, url: str, seconds: float) -> bool:
    """Print what was seen and what the store has; return whether all is well."""
    print(journal.table(seconds))
    if any("status 5" in error for error in journal.errors):
        print(server.log.read_text()[-4000:])
    for error, times in journal.errors.items():
        print(f"error, {times} times: {error}")
    wrong = audit(journal, url)
    for line in wrong[:20]:
        print(line)
    kept = f"{len(journal.answers)} answers and {len(journal.drafts)} saves acknowledged"
    print(
        f"{kept}; lost, other or doubled in the store: {len(wrong)}; errors: {sum(journal.errors.values())}"
    )
    return not wrong and not journal.errors and bool(journal.answers)


def end_cleanly() -> None:
    """Take SIGTERM for an exit, so that neither the site nor PostgreSQL outlives a script that is stopped."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def cores(text: str) -> tuple[set[int], set[int]]:
    """Read `0/1` or `0,1/2,3`: the cores of the site, and those of the clients."""
    site, clients = ({int(core) for core in side.split(",")} for side in text.split("/"))
    return site, clients


def main() -> int:
    end_cleanly()
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--learners", type=int, default=500)
    parser.add_argument("--think", type=float, default=20.0, metavar="SECONDS")
    parser.add_argument("--arrive", type=float, default=60.0, metavar="SECONDS")
    parser.add_argument(
        "--database", choices=DATABASES, action="append", help="default: both, one after the other"
    )
    parser.add_argument("--cores", type=cores, metavar="SITE/CLIENTS", help="as in 0/1; default: shared")
    given = parser.parse_args()
    site, clients = given.cores or (None, None)
    shared = f"cores {len(os.sched_getaffinity(0))}, shared by site and clients"
    told = f"site on cores {sorted(site)}, clients on {sorted(clients)}" if site else shared
    well = True
    for kind in given.database or DATABASES:
        print(f"\n==== {given.learners} learners on {kind}; {told} ====", flush=True)
        if site:
            os.sched_setaffinity(0, site)  # the database starts from here
        with (
            tempfile.TemporaryDirectory(prefix="steelyard-load-") as folder,
            database(kind, Path(folder)) as url,
        ):
            journal = Journal()
            server = Server(Path(folder), url, site)
            codes = new_classes(url, given.learners)
            if clients:
                os.sched_setaffinity(0, clients)
            seconds = asyncio.run(
                take_quizzes(server, journal, codes, given.learners, given.think, given.arrive)
            )
            well &= report(journal, server, url, seconds)
    return int(not well)


if __name__ == "__main__":
    sys.exit(main())
