"""A learner of a load test: opens pages, thinks, and sends their forms, as a browser would."""

from __future__ import annotations

import asyncio
import html
import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import aiohttp

from load.journal import Journal

RETRY_SECONDS = 0.1
PATIENCE = 600  # attempts at one request: a minute

_FORM = re.compile(r'<form [^>]*method="post".*?</form>', re.S)
_ACTION = re.compile(r' action="([^"]*)"')
_SAVE = re.compile(r' data-save="([^"]*)"')
_HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')
_CHOICE = re.compile(r'<input type="(radio|checkbox)" name="choice" value="([A-Z])"')
_ONWARD = re.compile(r'<div class="onward">\s*<a [^>]*href="([^"]+)"')
_LINKED = re.compile(r'(?:<link rel="stylesheet" href|<script src)="([^"]+)"')


class RefusedError(Exception):
    """No answer, or one that no learner should get."""


@dataclass(frozen=True)
class Answer:
    status: int
    location: str
    text: str


@dataclass(frozen=True)
class Form:
    """The first form of a page that is sent: a question's, or what starts a quiz, hands an exam in, or joins a class."""

    action: str
    fields: Mapping[str, str]
    letters: tuple[str, ...]
    single: bool
    save: str | None

    @classmethod
    def of(cls, page: str) -> Form:
        """Read the page's form. Raises RefusedError when it has none."""
        found = _FORM.search(page)
        if found is None:
            raise RefusedError("a page has no form where one was expected")
        form = found[0]
        choices = _CHOICE.findall(form)
        save = _SAVE.search(form)
        return cls(
            action=html.unescape(_ACTION.search(form)[1]),  # type: ignore[index]
            fields={name: html.unescape(value) for name, value in _HIDDEN.findall(form)},
            letters=tuple(letter for _, letter in choices),
            single=any(kind == "radio" for kind, _ in choices),
            save=html.unescape(save[1]) if save else None,
        )


class Visitor:
    """One learner with a browser of their own; what they think and choose is drawn from `seed`.

    `think` is the mean time before an answer in seconds. A `stubborn` one sends a request again until the site
    answers it, for a site that is killed under way; for any other a request without an answer is an error.
    `clock` gives the seconds by which requests are timed.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        journal: Journal,
        *,
        seed: int,
        think: float,
        stubborn: bool = False,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._session = session
        self._journal = journal
        self._clock = clock
        self._draw = random.Random(seed)
        self._think = think
        self._stubborn = stubborn

    async def visit(self, number: int, code: str, quizzes: Sequence[str]) -> None:
        """Come, join the class, and take a quiz: the `number`th visit of the mix.

        The quizzes are taken in turn, and three out of four learners practise; the fourth sits an exam.
        """
        await self.arrive()
        await self.join(code)
        slug = quizzes[number % len(quizzes)]
        await (self.sit_exam(slug) if number % 4 == 3 else self.practise(slug))

    async def arrive(self) -> None:
        """Open the start page and what it links, as a browser does that was never here."""
        page = await self._get("start page", "/")
        for path in _LINKED.findall(page.text):
            await self._get("styles and scripts", html.unescape(path))

    async def join(self, code: str) -> None:
        """Join a class under the pseudonym that the page suggests; where it is taken, under the next one."""
        page = await self._get("class", f"/join/{code}")
        while True:
            suggested = re.search(r'name="pseudonym"[^>]*value="([^"]+)"', page.text)
            if suggested is None:
                raise RefusedError("the page of a class suggests no pseudonym")
            form = Form.of(page.text)
            fields = {**form.fields, "pseudonym": html.unescape(suggested[1])}
            page = await self._post("class", form.action, fields, {303, 400})
            if page.status == 303:
                return

    async def practise(self, slug: str) -> None:
        """Take a quiz to its result, with feedback after each answer."""
        page = await self._start(slug, "practice")
        while True:
            form = Form.of(page.text)
            chosen = await self._choose(form)
            told = await self._post("answer", form.action, {**form.fields, "choice": list(chosen)}, {303})
            self._acknowledged(self._journal.answers, form, chosen)
            page = await self._get("feedback", told.location)
            onward = _ONWARD.search(page.text)
            if onward is None:
                raise RefusedError("feedback leads nowhere")
            path = html.unescape(onward[1])
            if path.startswith("/attempts/"):
                await self._get("result", path)
                return
            page = await self._get("question", path)

    async def sit_exam(self, slug: str) -> None:
        """Take a quiz as an exam: every tick is saved by itself, every form as well, and then it is handed in."""
        page = await self._start(slug, "exam")
        saved: dict[tuple[str, str], str] = {}
        while 'class="answer"' in page.text:
            form = Form.of(page.text)
            for _ in range(self._draw.randint(1, 2)):  # some change their mind
                chosen = await self._choose(form)
                assert form.save is not None
                token = {"csrf_token": form.fields["csrf_token"]}
                await self._post("draft", form.save, {**token, "choice": list(chosen)}, {204})
                saved[self._acknowledged(self._journal.drafts, form, chosen)] = chosen
            gone_on = await self._post(
                "exam answer", form.action, {**form.fields, "choice": list(chosen)}, {303}
            )
            self._journal.acknowledged += 1
            page = await self._get("exam question", gone_on.location)
        form = Form.of(page.text)
        handed_in = await self._post("hand in", form.action, form.fields, {303})
        self._journal.answers.update(saved)
        self._journal.acknowledged += 1
        await self._get("result", handed_in.location)

    async def _start(self, slug: str, mode: str) -> Answer:
        form = Form.of((await self._get("quiz", f"/quizzes/{slug}")).text)
        begun = await self._post("start", form.action, {**form.fields, "mode": mode}, {303})
        return await self._get("question" if mode == "practice" else "exam question", begun.location)

    async def _choose(self, form: Form) -> str:
        """Think, and return the letters to send, sorted."""
        await asyncio.sleep(self._think * self._draw.uniform(0.5, 1.5))
        most = 1 if form.single else len(form.letters)
        return "".join(sorted(self._draw.sample(form.letters, self._draw.randint(1, most))))

    def _acknowledged(self, kept: dict[tuple[str, str], str], form: Form, chosen: str) -> tuple[str, str]:
        question = re.sub(r"^/questions/|\?.*$", "", form.action)
        place = form.fields["attempt"], question
        kept[place] = chosen
        self._journal.acknowledged += 1
        return place

    async def _get(self, route: str, path: str) -> Answer:
        return await self._ask(
            f"GET  {route}", path, {200}, lambda: self._session.get(path, allow_redirects=False)
        )

    async def _post(
        self, route: str, path: str, fields: Mapping[str, str | list[str]], expected: set[int]
    ) -> Answer:
        pairs = [
            (k, v) for k, given in fields.items() for v in ([given] if isinstance(given, str) else given)
        ]
        return await self._ask(
            f"POST {route}",
            path,
            expected,
            lambda: self._session.post(path, data=pairs, allow_redirects=False),
        )

    async def _ask(
        self,
        route: str,
        path: str,
        expected: set[int],
        send: Callable[[], AbstractAsyncContextManager[aiohttp.ClientResponse]],
    ) -> Answer:
        """Send a request and return its answer. Raises RefusedError for one that is not among the expected."""
        for _ in range(PATIENCE):
            begun = self._clock()
            try:
                async with send() as response:
                    answer = Answer(
                        response.status, response.headers.get("Location", ""), await response.text()
                    )
            except (aiohttp.ClientError, OSError) as error:
                if not self._stubborn:
                    raise RefusedError(f"{route}: {type(error).__name__}") from None
                if not isinstance(error, aiohttp.ClientConnectorError):
                    self._journal.broken_off += 1
                await asyncio.sleep(RETRY_SECONDS)
                continue
            self._journal.milliseconds[route].append(1000 * (self._clock() - begun))
            if answer.status in expected:
                return answer
            raise RefusedError(f"{route}: status {answer.status}")
        raise RefusedError(f"{route}: no answer within a minute")
