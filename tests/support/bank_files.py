"""Small question files for tests, in the format of `questions/README.md`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

FRONT = """\
---
techniques: [lora]
type: {type}
scoring: {scoring}
sources: ["A source"]
claims:
  - id: a-claim
    says: LoRA saves something.
    verdict: holds
    tests: [{{of: lora, against: baseline, take: saving, within: [0.2, 0.3]}}]
---
"""

WORDS = {
    "en": ("Question", "Choices", "Answer", "Explanation"),
    "ja": ("問題", "選択肢", "正解", "解説"),
}


def question_text(
    title: str,
    *,
    key: str = "A, C",
    choices: Mapping[str, str] | None = None,
    feedback: Mapping[str, str] | None = None,
    explanation: str = "It is said that LoRA [saves 25 %](#a-claim).",
    language: str = "en",
    type: str = "multiple",
    scoring: str = "balanced",
) -> str:
    """Return a question file of four choices."""
    question, choices_word, answer, explained = WORDS[language]
    choices = choices or {letter: f"Choice {letter} of {title}" for letter in "ABCD"}
    feedback = feedback or {letter: f"Feedback on {letter} of {title}." for letter in choices}
    parts = [
        FRONT.format(type=type, scoring=scoring),
        f"# {title}\n",
        f"## {question}\nWhich of these about {title}?\n",
        f"## {choices_word}\n" + "\n".join(f"{letter}. {text}\n" for letter, text in choices.items()),
        f"## {answer}\n{key}\n",
        f"## {explained}\n{explanation}\n",
        *(f"### {letter}. {choices[letter]}\n{text}\n" for letter, text in feedback.items()),
    ]
    return "\n".join(parts)


def write_bank(folder: Path) -> None:
    """Write a quiz `basics` of three questions, the first in two languages, and a quiz `more` of one."""
    basics, more = folder / "basics", folder / "more"
    for each in (basics, more):
        each.mkdir(parents=True)
    basics.joinpath("_quiz.en.md").write_text(
        "---\norder: [first, second, third]\n---\n# The basics\n\nAn introduction.\n", encoding="utf-8"
    )
    basics.joinpath("first.en.md").write_text(question_text("First"), encoding="utf-8")
    basics.joinpath("first.ja.md").write_text(question_text("最初", language="ja"), encoding="utf-8")
    basics.joinpath("second.en.md").write_text(
        question_text("Second", key="B", type="single", scoring="all-or-nothing"), encoding="utf-8"
    )
    basics.joinpath("third.en.md").write_text(question_text("Third"), encoding="utf-8")
    more.joinpath("alone.en.md").write_text(question_text("Alone"), encoding="utf-8")
