"""Many learners at once, each with a browser of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import aiohttp

from load.journal import Journal
from load.server import Server
from load.visitor import RefusedError, Visitor

ANSWER_SECONDS = 60
LANGUAGES = ("en", "ja")
"""What the learners' browsers ask for, in turn."""


def browser(address: str, connector: aiohttp.TCPConnector, number: int) -> aiohttp.ClientSession:
    """Return the browser of the `number`th learner, with cookies of its own."""
    return aiohttp.ClientSession(
        address,
        connector=connector,
        connector_owner=False,
        cookie_jar=aiohttp.CookieJar(unsafe=True),  # the site has a number for a name
        headers={"Accept-Language": LANGUAGES[number % len(LANGUAGES)]},
        timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS),
    )


async def crowd(
    server: Server,
    journal: Journal,
    learners: int,
    life: Callable[[Visitor, int], Awaitable[None]],
    *,
    think: float,
    stubborn: bool = False,
) -> None:
    """Let `life(visitor, number)` run for each learner, all at once. What goes wrong is in the journal."""
    async with AsyncExitStack() as stack:
        # Gunicorn drops an idle connection after two seconds; a form sent at that moment would get no answer, which a
        # browser mends by itself, and this client by not waiting so long.
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=1.0)
        stack.push_async_callback(connector.close)

        async def live(number: int) -> None:
            session = await stack.enter_async_context(browser(server.address, connector, number))
            visitor = Visitor(session, journal, seed=number, think=think, stubborn=stubborn)
            try:
                await life(visitor, number)
            except RefusedError as error:
                journal.errors[str(error)] += 1

        await asyncio.gather(*map(live, range(learners)))
