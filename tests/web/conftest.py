"""What several tests of the site's pages share."""

from __future__ import annotations

import pytest

from exam_files import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the site, which a test sets."""
    clock = Clock()
    monkeypatch.setattr("steelyard.web.clock.now", clock)
    return clock
