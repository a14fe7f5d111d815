"""A learner for tests: sees pages, and sends their forms as a browser without JavaScript would."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from html.parser import HTMLParser

from flask import Flask
from werkzeug.test import TestResponse


@dataclass
class Page(HTMLParser):
    """A response with its form fields, links and text."""

    response: TestResponse
    hidden: dict[str, str] = field(default_factory=dict)
    choices: list[str] = field(default_factory=list)
    ticked: set[str] = field(default_factory=set)
    guess: str | None = None
    action: str = ""
    """Where the page's last form is sent to."""
    links: list[str] = field(default_factory=list)
    outcome: str = ""
    """The heading over a told answer: Right, Partly right, Wrong or Not answered; empty on every other page."""
    text: str = ""
    _in_outcome: bool = False

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.response.text)
        self.text = " ".join(self.text.split())

    @property
    def status(self) -> int:
        return self.response.status_code

    @property
    def path(self) -> str:
        return self.response.request.path

    @property
    def url(self) -> str:
        query = self.response.request.query_string.decode()
        return f"{self.path}?{query}" if query else self.path

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self._in_outcome = given.get("id") == "outcome"
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag == "form":
            self.action = given["action"]
        if tag != "input":
            return
        if given["name"] == "guess":
            self.guess = given["value"]
        elif given["name"] == "choice":
            self.choices.append(given["value"])
            if "checked" in given:
                self.ticked.add(given["value"])
        elif given.get("type") in ("radio", "checkbox") and "checked" not in given:
            return  # not sent with the form
        else:
            self.hidden[given["name"]] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        self._in_outcome = False

    def handle_data(self, data: str) -> None:
        self.text += data + " "
        if self._in_outcome:
            self.outcome += data


class Learner:
    def __init__(self, app: Flask) -> None:
        self.client = app.test_client()

    def get(self, url: str, **headers: str) -> Page:
        return Page(self.client.get(url, headers=headers, follow_redirects=True))

    def start(self, quiz: str, mode: str = "practice") -> Page:
        """Press Start on a quiz's page, and see its first question."""
        page = self.get(f"/quizzes/{quiz}")
        return Page(self.client.post(page.path, data={**page.hidden, "mode": mode}, follow_redirects=True))

    def answer(self, page: Page, chosen: Iterable[str], *, follow: bool = True, **fields: str) -> Page:
        """Send a question's form."""
        data = {**page.hidden, "choice": list(chosen), **fields}
        return Page(self.client.post(page.action or page.path, data=data, follow_redirects=follow))

    def next(self, page: Page) -> Page:
        """Follow the link that leads on from a told answer."""
        attempt = page.url.partition("attempt=")[2]
        onward = [url for url in page.links if url == f"/attempts/{attempt}"]
        todo = self.get(f"/attempts/{attempt}")
        assert onward or todo.hidden.get("attempt") == attempt
        return todo
