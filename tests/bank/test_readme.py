"""`questions/README.md` tells the truth: its examples are read, its messages are printed, nothing is left out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
import yaml

from memlab.results.techniques import TECHNIQUES
from questions import parsed, question_text
from steelyard.bank.codes import CODES
from steelyard.bank.frontmatter import FrontMatter, QuizMatter
from steelyard.bank.headings import HEADINGS
from steelyard.bank.load import load
from steelyard.bank.model import Regrade, Scoring
from steelyard.bank.parse import parse, parse_quiz
from steelyard.checks import check
from steelyard.claims import Claim, Test, Verdict
from steelyard.evidence import PAIRED, Records

README = (Path(__file__).parents[2] / "questions" / "README.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("text", blocks("markdown question"))
def test_every_whole_example_is_read_without_problems(text):
    result = parse(text.encode(), "q.md")

    assert result.problems == ()
    assert result.question is not None


def test_the_examples_of_choices_and_answer_are_read_as_described():
    (choices,), (answer,) = blocks("markdown choices"), blocks("markdown answer")
    result = parsed(choices=choices, answer=answer)

    assert result.problems == ()
    assert result.question.letters == ("A", "B", "C")
    assert frozenset("AC") == result.question.key
    assert 'print("no choice' in result.question.choice("B").text.source


def test_the_example_of_front_matter_gives_every_key_and_is_valid():
    (front,) = blocks("yaml")

    assert set(FrontMatter.model_fields) == set(yaml.safe_load(front))
    assert parsed(front=front.strip(), answer="## Answer\nA, B\n").problems == ()
    assert all(technique in front for technique in TECHNIQUES)


def test_the_examples_of_tests_are_valid_and_show_every_form(tmp_path):
    (given,) = blocks("yaml tests")
    tests = [Test.model_validate(test) for test in yaml.safe_load(given)]
    front = "claims:\n- id: a\n  says: x\n  tests:\n" + "".join(f"  {line}\n" for line in given.splitlines())
    (tmp_path / "q.md").write_text(question_text(front=front.rstrip()), encoding="utf-8")

    assert {problem.code for problem in check(load(tmp_path, shown=""), Records({}))} == {"W202"}
    forms = {test.take for test in tests if test.of}
    assert set(get_args(Test.model_fields["take"].annotation)) == forms
    assert PAIRED.keys() <= {test.metric for test in tests}
    assert any(test.compute for test in tests) and any(test.cite for test in tests)


def test_the_example_of_a_quiz_is_read():
    (quiz,) = blocks("markdown quiz")
    result = parse_quiz(quiz.encode(), "_quiz.en.md", "en")

    assert (result.problems, result.title, result.order) == ((), "LoRA, weighed", ("start", "rank"))


def test_the_example_of_an_exam_gives_every_option_and_is_valid():
    (front,) = blocks("yaml exam")
    result = parse_quiz(f"---\n{front}---\n# A test\n".encode(), "_quiz.en.md", "en")

    assert set(QuizMatter.model_fields) - {"order"} == set(yaml.safe_load(front))
    assert result.problems == () and result.exam.only


def test_the_broken_example_gets_exactly_the_printed_problems(tmp_path):
    (broken,), (errors, warnings) = blocks("markdown broken"), blocks("text")
    mended = broken.replace("dificulty", "difficulty").replace("D. Nothing", "C. Nothing")
    mended = mended.replace("##Answer\nA, G", "## Answer\nA")
    for text, printed in ((broken, errors), (mended, warnings)):
        (tmp_path / "rank.md").write_text(text, encoding="utf-8")

        assert printed.splitlines() == [str(p) for p in check(load(tmp_path, shown=""), Records({}))]


def test_every_code_is_documented_with_its_meaning_and_no_other():
    assert dict(re.findall(r"^\| ([EW]\d{3}) \| (.+) \|$", README, re.MULTILINE)) == CODES


def test_every_code_is_used_and_no_other_is():
    source = Path(__file__).parents[2] / "site" / "steelyard"
    text = "".join(
        path.read_text(encoding="utf-8") for path in source.rglob("*.py") if path.name != "codes.py"
    )

    assert set(CODES) == set(re.findall(r'"([EW]\d{3})"', text))


@pytest.mark.parametrize(
    "word",
    [
        *(name for model in (Claim, Test) for name in model.model_fields if name != "line"),
        *get_args(Regrade),
        *get_args(Scoring),
        *get_args(Verdict),
    ],
)
def test_every_key_rule_and_verdict_is_documented(word):
    assert f"`{word}`" in README


def test_every_heading_is_documented():
    assert all(f"`## {name}`" in README for names in HEADINGS.values() for name in names)


def test_a_test_that_is_not_documented_does_not_exist():
    table = README[README.index("| Key of a test |") : README.index("Fractions, not percentages")]

    assert set(Test.model_fields) - {"line"} == set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
