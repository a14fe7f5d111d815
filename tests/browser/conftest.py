"""The project's own questions and records, served, and a Chromium to look at them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from chromium import MINUTES, chromium, serving
from instructing import add_instructor
from steelyard.settings import Settings, project_data, sqlite_url
from steelyard.web import create_app
from steelyard.web.app.database import migrate


@pytest.fixture(scope="module")
def browser(site: str) -> Iterator[Browser]:
    """Gone before other modules run: neither Flask's contexts nor a second Playwright live beside its event loop."""
    expect.set_options(timeout=MINUTES)  # a loaded machine is slow to draw a long page
    with chromium() as browser:
        yield browser


@contextmanager
def project_site(data: Path, results: Path, database_url: str | None = None) -> Iterator[str]:
    """Serve the project's own questions and pages over these records; yield the address."""
    project = project_data()
    app = create_app(
        Settings(
            data=data,
            questions=project / "questions",
            results=results,
            pages=project / "demos" / "pages",
            demos=project / "demos",
            database_url=database_url or sqlite_url(data),
            secret_key="a secret for tests only",
        )
    )
    migrate(app)
    add_instructor(app)
    try:
        with serving(app) as address:
            yield address
    finally:
        with app.app_context():
            app.extensions["sqlalchemy"].engine.dispose()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the site over the project's own questions, as `make serve` would show it."""
    with project_site(tmp_path_factory.mktemp("site"), project_data() / "demos" / "results") as address:
        yield address


@pytest.fixture(scope="session")
def site_of() -> Callable[..., AbstractContextManager[str]]:
    """Return what serves the project's pages over other records, or in another database."""
    return project_site
