"""make load: kill the whole site a hundred times under way, on either database; nothing acknowledged is lost.

    PYTHONPATH=tests:tests/support python -m load.kill [--learners 40] [--kills 100] [--database sqlite]

Learners take quizzes and exams, one after the other, with little thought. Again and again, after some answers,
master and workers are killed at once by SIGKILL and started anew; a learner whose request was left without an answer
sends it again, as people do. At the end every answer and every save that was acknowledged has to be in the store with
its letters, none doubled. A killed process takes nothing with it that SQLite or PostgreSQL had committed; a power cut
is another matter, see `steelyard.store.engine`. PostgreSQL's own server is not killed.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path

from load.crowd import crowd
from load.journal import Journal
from load.run import DATABASES, database, end_cleanly, report, slugs
from load.server import Server
from load.visitor import Visitor

THINK_SECONDS = 1.0
WORK = 2  # acknowledgements for each learner between two kills, at most


async def take_quizzes_and_kill(
    server: Server, journal: Journal, *, learners: int, kills: int, think: float
) -> float:
    """Let everybody take quizzes until the last kill is over, and the one at hand to its end; return the seconds."""
    quizzes = slugs()
    over = asyncio.Event()

    async def life(visitor: Visitor, number: int) -> None:
        turn = number
        while not over.is_set():
            slug = quizzes[turn % len(quizzes)]
            await (visitor.sit_exam(slug) if turn % 4 == 3 else visitor.practise(slug))
            turn += 1

    async def killer() -> None:
        draw = random.Random(kills)
        try:
            for _ in range(kills):
                enough = journal.acknowledged + draw.randint(1, WORK * learners)
                while journal.acknowledged < enough and not learning.done():
                    await asyncio.sleep(0.001)
                server.kill()
                await server.start()
        finally:
            over.set()

    await server.start()
    begun = time.perf_counter()
    try:
        learning = asyncio.ensure_future(crowd(server, journal, learners, life, think=think, stubborn=True))
        await killer()
        await learning
    finally:
        seconds = time.perf_counter() - begun
        server.stop()
    return seconds


def main() -> int:
    end_cleanly()
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--learners", type=int, default=40)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument(
        "--database", choices=DATABASES, action="append", help="default: both, one after the other"
    )
    given = parser.parse_args()
    well = True
    for kind in given.database or DATABASES:
        print(f"\n==== {given.kills} kills among {given.learners} learners on {kind} ====", flush=True)
        with (
            tempfile.TemporaryDirectory(prefix="steelyard-load-") as folder,
            database(kind, Path(folder)) as url,
        ):
            journal = Journal()
            server = Server(Path(folder), url)
            work = take_quizzes_and_kill(
                server, journal, learners=given.learners, kills=given.kills, think=THINK_SECONDS
            )
            seconds = asyncio.run(work)
            well &= report(journal, server, url, seconds)
            print(f"{journal.broken_off} requests were broken off by a kill, and sent again")
            well &= journal.broken_off > 0
    return int(not well)


if __name__ == "__main__":
    sys.exit(main())
