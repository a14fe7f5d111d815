"""What several tests of the site's pages share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask import Flask

from exam_files import Clock
from steelyard.settings import Settings
from steelyard.web import create_app
from steelyard.web.app.database import migrate
from steelyard.web.lab import Lab
from web.lab_site import Visitor


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the site, which a test sets."""
    clock = Clock()
    monkeypatch.setattr("steelyard.web.app.clock.now", clock)
    return clock


@pytest.fixture
def lab_app(settings: Settings, lab: Lab) -> Iterator[Flask]:
    """The site beside the `lab` of a test file."""
    app = create_app(replace(settings, demos=lab.demos), lab)
    app.testing = True
    migrate(app)
    yield app
    with app.app_context():
        app.extensions["sqlalchemy"].engine.dispose()


@pytest.fixture
def visitor(lab_app: Flask) -> Visitor:
    """Somebody who has opened the link of the terminal."""
    visitor = Visitor(lab_app)
    assert visitor.enter().status_code == 303
    return visitor
