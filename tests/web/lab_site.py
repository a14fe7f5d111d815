"""A site with demos, in this process and in one of its own, for the tests of running demos from pages."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urljoin

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from steelyard.web.lab import Lab
from steelyard.web.lab.run import DemoRun

TINY = {
    "model": "tiny",
    "device": "cpu",
    "batch": "2",
    "seq": "64",
    "steps": "2",
    "warmup": "1",
}

FAKE = '''"""A demo that does as it is told: the events of `memlab.running.events`, without a model."""
import json, os, signal, sys, time

if "--options" in sys.argv:
    print(json.dumps([
        {"name": "model", "kind": "text", "minimum": None, "choices": None, "default": "real"},
        {"name": "batch", "kind": "whole", "minimum": 1, "choices": None, "default": 4},
        {"name": "lr", "kind": "number", "minimum": None, "choices": None, "default": 0.001},
        {"name": "precision", "kind": "text", "minimum": None, "choices": ["mixed", "bf16"], "default": "mixed"},
        {"name": "offload", "kind": "flag", "minimum": None, "choices": None, "default": False},
        {"name": "out", "kind": "text", "minimum": None, "choices": None, "default": None},
        {"name": "publish", "kind": "flag", "minimum": None, "choices": None, "default": False},
    ]))
    sys.exit()


def tell(**event):
    print(json.dumps(event), flush=True)


tell(plan=["baseline, seed 0"])
tell(run=0, stage="train", done=1, of=3)
tell(run=0, resident_bytes=2**20)
'''

WAITS = (
    FAKE
    + 'open(sys.argv[sys.argv.index("--out") + 1] + "/pid", "w").write(str(os.getpid()))\nsignal.pause()\n'
)
"""Says how far it is, leaves its process id, and then waits for a signal."""


class Visitor:
    """A browser at the site, with the cookies and the Origin that it would send."""

    ORIGIN = "http://localhost"

    def __init__(self, app: Flask) -> None:
        self.client: FlaskClient = app.test_client()
        self.lab: Lab = app.extensions["steelyard.lab"]

    def enter(self) -> TestResponse:
        """Open the link of the terminal."""
        told: list[str] = []
        self.lab.guard.announce(told.append)
        return self.client.get(f"/lab/open?token={told[0]}")

    def token(self, page: str = "/techniques/lora") -> str:
        """Return the token against forgery of the page's form."""
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.client.get(page).text)
        return found[1] if found else ""

    def post(self, url: str, headers: dict[str, str] | None = None, **fields: str) -> TestResponse:
        fields = {"csrf_token": self.token(), **fields}
        return self.client.post(url, data=fields, headers={"Origin": self.ORIGIN, **(headers or {})})

    def start(self, technique: str = "lora", **fields: str) -> DemoRun:
        """Send the form, and return the run that it queued."""
        response = self.post("/lab/runs", technique=technique, **fields)
        assert response.status_code == 303, response.text
        run = self.lab.latest(technique)
        assert run is not None
        return run

    def events(self, run: DemoRun) -> Iterator[dict[str, Any]]:
        """Yield a run's events as a browser's EventSource would get them, until the stream ends."""
        response = self.client.get(f"/lab/runs/{run.number}/events", buffered=False)
        assert response.mimetype == "text/event-stream"
        for chunk in response.response:
            text = chunk.decode() if isinstance(chunk, bytes) else chunk
            if text.startswith("data: "):
                yield json.loads(text.removeprefix("data: "))


def broken_links(visitor: Visitor, page: TestResponse) -> list[str]:
    """Return the links of a page that lead nowhere, as a browser resolves them from the page's address."""
    found = {html.unescape(url) for url in re.findall(r'<a [^>]*href="([^"]+)"', page.text)}
    resolved = {urljoin(page.request.path, url).partition("#")[0] for url in found if url[0] != "#"}
    own = sorted(url for url in resolved if url.startswith("/"))
    assert own
    return [url for url in own if visitor.client.get(url).status_code >= 400]


def raises(error: Exception) -> Callable[..., NoReturn]:
    """Return a function that raises this error, whatever it is given."""

    def raising(*_given: object, **_named: object) -> NoReturn:
        raise error

    return raising


def wait_until(lab: Lab, run: DemoRun, reached: Callable[[DemoRun], bool]) -> None:
    """Return as soon as a run is where it should be; a run that ends elsewhere fails the test."""
    for _changed in lab.follow(run):
        if reached(run):
            return
    assert reached(run), f"the run ended as {run.state}: {run.message}"


def script(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.py"
    path.write_text(text, encoding="utf-8")
    return path
