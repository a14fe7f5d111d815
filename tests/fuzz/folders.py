"""A folder with mutated files in any language code among good ones: the good ones are served, whatever the others hold."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

from fuzz.nested import nested
from fuzz.question_files import mutant
from fuzz.trial import Trial, attempt
from questions import question_text
from steelyard.bank.codes import CODES
from steelyard.bank.load import Loader
from steelyard.bank.model import Text
from steelyard.checks import check
from steelyard.evidence import Records
from steelyard.web.text.render import render

CODES_OF_LANGUAGES = [
    "en",
    "ja",
    "fr",
    "zz",
    "EN",
    "ja-JP",
    "zh_TW",
    "日本",
    "e",
    "",
    " ",
    "1a",
    "\udcff\udcfe",
]
QUIZ = b"---\norder: [good, bad]\nexam: only\nminutes: 30\nopens: 2027-01-15T09:00Z\ncloses: 2027-01-15T10:00Z\n---\n# T\n\nText.\n"
NO_RECORDS = Records({})


def file(random: random.Random) -> tuple[str, bytes]:
    """Return the name of a file below the bank's folder, and what is in it."""
    code = random.choice(CODES_OF_LANGUAGES)
    stem = random.choice(["bad", "_quiz", "_quiz", "good", "a/bad", "a/_quiz", "bad.en", "bad\n"])
    name = f"test/{stem}.{code}.md" if random.random() < 0.9 else f"test/{stem}.md"
    kind = random.randrange(5)
    if kind == 0:
        front, text = nested(random)
        return name, question_text(front=front, question=f"## Question\n{text}\n").encode(errors="replace")
    if stem.endswith("_quiz"):
        at = random.randrange(len(QUIZ))
        cut = QUIZ[:at] + random.choice([b"", b"x", b"\xff", b"\n", b"exam:", b"---\n", b": ["]) + QUIZ[at:]
        return name, cut[: random.randrange(len(cut))] if kind == 1 else cut
    data = mutant(random)
    encoding = random.choice(["utf-16", "utf-32-be", "cp932", "utf-7"]) if kind == 1 else "utf-8"
    return name, data.decode(errors="replace").encode(encoding, errors="replace")


def try_folder(random: random.Random) -> Trial:
    """Load, check and render a folder, and once more after a file was replaced: `served` or `problems`."""
    files = [file(random) for _ in range(random.randint(1, 3))]
    data = b"\n".join(name.encode(errors="surrogateescape") + b"\n" + data for name, data in files)
    return attempt(data, lambda: _judge(files))


def _judge(files: list[tuple[str, bytes]]) -> tuple[str, list[str]]:
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        root = Path(folder)
        (root / "fine").mkdir()
        (root / "fine" / "good.en.md").write_text(question_text(), encoding="utf-8")
        (root / "test" / "a").mkdir(parents=True)
        loader, found = Loader(), []
        problems = 0
        for name, data in files:
            (root / name).write_bytes(data)
            bank = loader(root)
            checked = check(bank, NO_RECORDS)
            problems += len(checked)
            found += [
                str(problem) for problem in checked if problem.code == "E060" or problem.code not in CODES
            ]
            if "fine/good" not in bank.practice:
                found.append("a good question is not served")
            for edition in bank.questions.values():
                for language, question in edition.items():
                    for text in (question.stem, *(choice.text for choice in question.choices)):
                        render(text, lang=language)
            for quiz in bank.quizzes.values():
                for language, introduction in quiz.introductions.items():
                    render(Text(introduction.source), lang=language)
    return "problems" if problems else "served", found
