"""Fixtures: a site in a temporary folder, and an application in the middle of a request."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask_babel import force_locale

from pages.world import BASELINE, LORA, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    for folder in ("questions", "results", "pages", "demos"):
        (tmp_path / folder).mkdir()
    world.write("demos/baseline.py", BASELINE)
    world.write("demos/lora.py", LORA)
    return world


@pytest.fixture
def english(world: World) -> Iterator[Flask]:
    """An application in the middle of a request for an English page."""
    app = world.app()
    with app.test_request_context("/?lang=en"), force_locale("en"):
        yield app
