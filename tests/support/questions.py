"""Question files for tests: whole and good, apart from what a test puts in place of a section."""

from __future__ import annotations

from steelyard.bank.parse import Parsed, parse
from steelyard.problems import Problem

QUESTION = "## Question\nWhich of these is frozen?\n"
CHOICES = "## Choices\nA. The base model\n\nB. The adapters\n\nC. The optimizer\n"
ANSWER = "## Answer\nA\n"
EXPLANATION = "## Explanation\nSee the paper.\n"


def question_text(
    *,
    front: str = "",
    title: str = "# Frozen\n",
    question: str = QUESTION,
    choices: str = CHOICES,
    answer: str = ANSWER,
    explanation: str = EXPLANATION,
) -> str:
    """Return a question file; `front` is front matter without its dashes, each other part a whole section."""
    matter = f"---\n{front}\n---\n" if front else ""
    return "\n".join([matter + title, question, choices, answer, explanation])


def parsed(**sections: str) -> Parsed:
    return parse(question_text(**sections).encode(), "q.md", "q")


def told(problems: tuple[Problem, ...]) -> list[str]:
    """Return the problems as `line:column code`."""
    return [f"{problem.line}:{problem.column} {problem.code}" for problem in problems]
