"""A real Chromium for tests: the system's where there is one, else the one that Playwright fetched."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser, BrowserContext, Locator, sync_playwright
from werkzeug.serving import make_server

MINUTES = 600_000.0
"""How long a page may take to do anything, in milliseconds: it ends a test that hangs, and no slow machine's."""

NAMES = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser; without one, skips the test loudly, and fails it when CI=true."""
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
        found = next(filter(None, map(shutil.which, NAMES)), own if Path(own).exists() else None)
        if found is None:
            message = "no Chromium: apt-get install chromium, or .venv/bin/playwright install chromium"
            if os.environ.get("CI") == "true":
                pytest.fail(message)
            pytest.skip(message)
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"], timeout=MINUTES)
        new_context = browser.new_context

        def patient(**options: Any) -> BrowserContext:
            context = new_context(**options)
            context.set_default_timeout(MINUTES)
            return context

        browser.new_context = patient  # type: ignore[method-assign]
        try:
            yield browser
        finally:
            browser.close()


def follow(link: Locator) -> None:
    """Click what leads to another page and wait for that page, which Playwright's click does not do by itself."""
    with link.page.expect_navigation():
        link.click()


@contextmanager
def serving(app: Flask) -> Iterator[str]:
    """Serve `app` on a free port of this machine and give its address."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
