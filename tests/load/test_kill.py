"""Killing the whole site under way loses no answer that it acknowledged. `make load` does it a hundred times."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa

from load.journal import Journal, audit
from load.kill import take_quizzes_and_kill
from load.server import Server
from steelyard import store

pytestmark = pytest.mark.slow


@pytest.mark.both_databases
def test_no_acknowledged_answer_is_lost_or_doubled_when_the_site_is_killed(tmp_path: Path, database_url: str):
    journal = Journal()
    server = Server(tmp_path, database_url)
    asyncio.run(take_quizzes_and_kill(server, journal, learners=8, kills=2, think=0.2))

    assert journal.errors == {}
    assert len(journal.answers) > 8 and len(journal.drafts) > 2
    assert audit(journal, database_url) == []

    engine = sa.create_engine(database_url)  # and the audit would see it
    with engine.begin() as connection:
        connection.execute(sa.delete(store.Answer).where(store.Answer.id == 1))
        connection.execute(sa.update(store.Draft).values(chosen="Z"))
    engine.dispose()
    lost = audit(journal, database_url)

    assert len([line for line in lost if line.startswith("answer")]) == 1
    assert len([line for line in lost if line.startswith("draft")]) == len(journal.drafts)
