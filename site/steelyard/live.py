"""A value read from a folder, kept current while the folder changes under it."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Generic, TypeVar

from watchfiles import watch

T = TypeVar("T")

LOOK_SECONDS = 1.0
"""How often a reader of `value` looks at the folder at most."""

POLL_SECONDS = 0.1
"""How often the watching thread looks where the system's events do not come (network, container mounts)."""

_log = logging.getLogger(__name__)
_Stamp = tuple[tuple[str, int, int, int], ...]


class Live(Generic[T]):
    """`load(root)`, called again when a file below `root` has changed. Thread-safe.

    `load` should keep what it can of unchanged files. When it raises, the last good value stays and the error
    is logged; the first call, made on construction, may raise. So it does while a folder that was there is
    missing: it is being replaced, or its disk is away. A reader never waits for another's loading.
    """

    def __init__(self, load: Callable[[Path], T], root: Path) -> None:
        self.root = root
        self._load = load
        self._loading = Lock()
        self._stamp = _stamp(root)
        self._value = load(root)
        self._looked = time.monotonic()
        self._stop = Event()
        self._thread: Thread | None = None
        self._reported = ""
        """The error that was logged last: it is logged once, however often it is met."""

    @property
    def value(self) -> T:
        """The current value: at most a second old, or with a watching thread as current as it makes it."""
        if self._thread is None and time.monotonic() - self._looked >= LOOK_SECONDS:
            self.refresh()
        return self._value

    def refresh(self) -> bool:
        """Look at the folder now and load it if it changed; say whether it was loaded anew."""
        if not self._loading.acquire(blocking=False):
            return False
        try:
            self._looked = time.monotonic()
            # The stamp is taken first: what changes while loading is noticed by the next look.
            stamp = _stamp(self.root)
            if stamp == self._stamp:
                return False
            if not self.root.is_dir():
                raise FileNotFoundError(f"the folder {self.root.name} is missing")
            self._value = self._load(self.root)
            self._stamp = stamp
            self._reported = ""
            return True
        except Exception as error:
            if str(error) != self._reported:
                _log.exception("could not read %s again; the last good state stays", self.root.name)
            self._reported = str(error)
            return False
        finally:
            self._loading.release()

    def watch(self, changed: Callable[[T], None] | None = None) -> None:
        """Start a thread that loads the folder as soon as a file is saved, and then calls `changed`."""
        if self._thread is None:
            self._stop.clear()
            self._thread = Thread(
                target=self._watch, args=(changed,), name=f"watch {self.root.name}", daemon=True
            )
            self._thread.start()

    def close(self) -> None:
        """Stop watching; `value` goes on looking for itself."""
        thread, self._thread = self._thread, None
        if thread:
            self._stop.set()
            thread.join()

    def _watch(self, changed: Callable[[T], None] | None) -> None:
        while not self._stop.is_set():
            try:
                self._follow(changed)
            except OSError:  # the folder is missing, or the system has no more watches to give: poll
                self._tick(changed)
                self._stop.wait(POLL_SECONDS)

    def _follow(self, changed: Callable[[T], None] | None) -> None:
        """Refresh at every event, and at least every `POLL_SECONDS`, until told to stop."""
        events = watch(
            self.root,
            debounce=50,
            step=10,
            rust_timeout=int(POLL_SECONDS * 1000),
            yield_on_timeout=True,
            stop_event=self._stop,
            raise_interrupt=False,
            ignore_permission_denied=True,
        )
        due = 0.0
        for happened in events:
            if happened or time.monotonic() >= due:
                begin = time.monotonic()
                self._tick(changed)
                # In a large folder looking is dear; without events it is then done less often.
                due = time.monotonic() + 10 * (time.monotonic() - begin)

    def _tick(self, changed: Callable[[T], None] | None) -> None:
        if self.refresh() and changed:
            changed(self._value)


def _stamp(root: Path) -> _Stamp:
    """Return what changes when a file below `root` does. Hidden files and links to folders are left out."""
    stamps: list[tuple[str, int, int, int]] = []
    folders = [str(root)]
    while folders:
        try:
            entries = list(os.scandir(folders.pop()))
        except OSError:
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            try:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    status = entry.stat()
                    stamps.append((entry.path, status.st_mtime_ns, status.st_size, status.st_ino))
            except OSError:
                continue
    return tuple(sorted(stamps))
