"""A folder that is read live: changes show, and nothing that happens to a file breaks the reader."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from queue import Queue

import pytest

from steelyard import live as live_module
from steelyard.live import Live


def names(root: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(root.glob("*.md"))}


@pytest.fixture
def at_once(monkeypatch):
    """Let every reader look at the folder, however short ago the last look was."""
    monkeypatch.setattr(live_module, "LOOK_SECONDS", 0.0)


@pytest.mark.usefixtures("at_once")
def test_a_saved_a_new_and_a_deleted_file_show(tmp_path):
    (tmp_path / "a.md").write_text("one")
    live = Live(names, tmp_path)
    assert live.value == {"a.md": "one"}

    (tmp_path / "a.md").write_text("longer")
    (tmp_path / "b.md").write_text("new")
    assert live.value == {"a.md": "longer", "b.md": "new"}

    (tmp_path / "a.md").unlink()
    assert live.value == {"b.md": "new"}


def test_the_folder_is_looked_at_once_a_second_at_most(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(live_module.time, "monotonic", lambda: now[0])
    live = Live(names, tmp_path)
    (tmp_path / "a.md").write_text("one")

    assert live.value == {}
    now[0] += 0.9
    assert live.value == {}
    now[0] += 0.2
    assert live.value == {"a.md": "one"}


@pytest.mark.usefixtures("at_once")
def test_an_unchanged_folder_is_not_loaded_again(tmp_path):
    (tmp_path / "a.md").write_text("one")
    calls = []
    live = Live(lambda root: calls.append(root) or len(calls), tmp_path)

    assert [live.value, live.value, live.value] == [1, 1, 1]
    os.utime(tmp_path / "a.md", ns=(1, 1))
    assert live.value == 2


@pytest.mark.usefixtures("at_once")
def test_when_loading_fails_the_last_good_value_stays_and_the_next_change_is_loaded(tmp_path, caplog):
    live = Live(names, tmp_path)
    (tmp_path / "bad.md").write_bytes(b"\xff")
    assert live.value == {}
    assert "the last good state stays" in caplog.text

    (tmp_path / "bad.md").write_text("mended")
    assert live.value == {"bad.md": "mended"}


@pytest.mark.usefixtures("at_once")
def test_a_folder_may_come_later_and_one_that_is_missing_keeps_what_it_held(tmp_path, caplog):
    root = tmp_path / "questions"
    live = Live(names, root)
    assert live.value == {}
    root.mkdir()
    (root / "a.md").write_text("one")
    assert live.value == {"a.md": "one"}
    root.rename(tmp_path / "away")
    assert [live.value, live.value] == [{"a.md": "one"}] * 2
    assert caplog.text.count("the folder questions is missing") == caplog.text.count("Traceback") == 1
    root.mkdir()
    assert live.value == {}


@pytest.mark.usefixtures("at_once")
def test_readers_never_wait_for_another_reader_that_loads(tmp_path):
    loading, go_on = threading.Event(), threading.Event()

    def slow(root: Path) -> int:
        if list(root.iterdir()):
            loading.set()
            go_on.wait()
        return len(list(root.iterdir()))

    live = Live(slow, tmp_path)
    (tmp_path / "a.md").write_text("one")
    reader = threading.Thread(target=lambda: live.value)
    reader.start()
    loading.wait()
    assert live.value == 0
    go_on.set()
    reader.join()
    assert live.value == 1


@pytest.mark.parametrize("events", [True, False], ids=["events", "polling"])
def test_the_watching_thread_tells_of_every_change(tmp_path, monkeypatch, events):
    if not events:

        def no_watches(*args: object, **kwargs: object) -> None:
            raise OSError("no space left for watches")

        monkeypatch.setattr(live_module, "watch", no_watches)
    seen: Queue[dict[str, str]] = Queue()
    live = Live(names, tmp_path)
    live.watch(seen.put)
    try:
        (tmp_path / "a.md").write_text("one")
        while seen.get(timeout=600) != {"a.md": "one"}:
            pass
        (tmp_path / "a.md").write_text("two, longer")
        while seen.get(timeout=600) != {"a.md": "two, longer"}:
            pass
        assert live.value == {"a.md": "two, longer"}
    finally:
        live.close()


def test_watching_a_folder_that_is_not_there_yet(tmp_path):
    root = tmp_path / "later"
    seen: Queue[dict[str, str]] = Queue()
    live = Live(names, root)
    live.watch(seen.put)
    try:
        root.mkdir()
        (root / "a.md").write_text("one")
        while seen.get(timeout=600) != {"a.md": "one"}:
            pass
    finally:
        live.close()
