"""Where the keys and values of a file's front matter stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

YamlPath = tuple[str | int, ...]
"""Keys, and indexes of lists; of a claim its id, since the languages list them each in its own order."""


@dataclass(frozen=True)
class Places:
    """Line and column (both from 1) of everything in one front matter."""

    values: Mapping[YamlPath, tuple[int, int]] = field(default_factory=dict)
    keys: Mapping[YamlPath, tuple[int, int]] = field(default_factory=dict)

    def __contains__(self, path: object) -> bool:
        return path in self.values

    def value(self, *path: str | int) -> tuple[int, int]:
        """Return where a value begins, or the nearest around it that is written; (1, 1) without any."""
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, (1, 1))

    def key(self, *path: str | int) -> tuple[int, int]:
        """Return where a value's key begins; where none is written, as `value` does."""
        return self.keys.get(path) or self.value(*path)
