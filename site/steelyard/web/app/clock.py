"""The clock of all pages, which tests replace."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """Return this moment, in UTC. Called as `clock.now()`, so that tests can say what time it is."""
    return datetime.now(UTC)
