"""One version of a question in all its languages: what an attempt pins, to be shown and regraded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from steelyard.bank.model import Question


@dataclass(frozen=True, eq=False)
class Edition:
    """A question in all its languages as it stood at one moment. Equal content is equal, by its digest."""

    twins: Mapping[str, Question]
    """Language → question; never empty."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Edition) and other.digest == self.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    @cached_property
    def digest(self) -> str:
        """A sha256 in hexadecimal digits; equal digests are equal content, key and feedback included."""
        versions = sorted((language, twin.version) for language, twin in self.twins.items())
        return hashlib.sha256(json.dumps(versions).encode()).hexdigest()

    @property
    def first(self) -> Question:
        """Any of the twins: they agree in everything but words."""
        return next(iter(self.twins.values()))

    def question(self, language: str) -> Question:
        """Return the question in this language, else in English, else in any."""
        return self.twins.get(language) or self.twins.get("en") or self.first

    def to_json(self) -> str:
        return json.dumps({language: twin.to_json().decode() for language, twin in self.twins.items()})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote. Raises ValueError."""
        return cls({language: Question.from_json(twin) for language, twin in json.loads(text).items()})
