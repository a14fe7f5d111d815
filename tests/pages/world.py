"""A whole site in a temporary folder: questions, records, scripts and texts, served by the real application."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from flask import Flask
from flask.testing import FlaskClient

from memlab.results.record import Record
from steelyard.settings import Settings
from steelyard.web import create_app
from steelyard.web.app import database

BASELINE = '''"""Run it: python demos/baseline.py"""

from memlab import Demo, launch


def build(lab):
    model = lab.load_model()
    return model, lab.optimizer(model)


DEMO = Demo("baseline", build, lr=1e-4)

if __name__ == "__main__":
    launch.main(DEMO, __doc__)
'''

LORA = '''"""Run it: python demos/lora.py

A docstring of its own.
"""

from memlab import Demo, launch


def build(lab):
    from peft import LoraConfig, get_peft_model  # NEW

    model = lab.load_model("bfloat16")  # NEW
    model = get_peft_model(model, LoraConfig(r=lab.setup.rank))  # NEW
    return model, lab.optimizer(model)


DEMO = Demo("lora", build, lr=1e-3, adapters=True)

if __name__ == "__main__":
    launch.main(DEMO, __doc__)
'''


@dataclass(frozen=True)
class World:
    root: Path

    def write(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    def record(self, record: Record, device: str = "cpu") -> str:
        """Publish a record and return its id."""
        return f"{device}/{record.write(self.root / 'results' / device).stem}"

    def app(self, *, public: bool = False) -> Flask:
        app = create_app(
            Settings(
                data=self.root,
                questions=self.root / "questions",
                results=self.root / "results",
                pages=self.root / "pages",
                demos=self.root / "demos",
                database_url=f"sqlite:///{self.root / 'test.sqlite3'}",
                secret_key="only for this test",
                public=public,
            )
        )
        database.migrate(app)
        return app

    def client(self, *, public: bool = False) -> FlaskClient:
        return self.app(public=public).test_client()


def visible(html: str) -> str:
    """Return the words of a page as a reader sees them, without the markup."""
    text = re.sub(r"<(script|style)\b.*?</\1>", "", html, flags=re.DOTALL)
    return (
        re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text))
        .replace("&#39;", "'")
        .replace("\N{NO-BREAK SPACE}", " ")
    )
