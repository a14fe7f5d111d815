"""What is nested without end is one problem at its place, and ends no process."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from questions import parsed, question_text, told
from steelyard.bank.parse import parse_quiz
from steelyard.markup import formulas
from steelyard.web.text.mathml import SHORT, mathml

SMALL_STACK = 512 * 1024
"""Bytes of the smallest stack that threads have somewhere."""

TRY = """
import json, sys, threading
from steelyard.bank.model import Text
from steelyard.bank.parse import parse
from steelyard.bank.prose import scan
from steelyard.web.text.render import render

def try_all():
    for name, (file, stem) in json.load(sys.stdin).items():
        parse(file.encode(), "q.md", "q")
        scan(Text(stem))
        render(Text(stem), lang="en")
        print(name, flush=True)

threading.stack_size(int(sys.argv[1]))
thread = threading.Thread(target=try_all)
thread.start()
thread.join()
"""

FORMULAS = {
    "fractions": (r"\frac{", "x", "}{y}"),
    "fractions that stay open": (r"\frac{", "", ""),
    "groups": ("{", "x", "}"),
    "brackets that grow": (r"\left(", "x", r"\right)"),
    "exponents": ("x^{", "y", "}"),
    "indices": ("x_{", "y", "}"),
    "roots": (r"\sqrt[3]{", "x", "}"),
    "roots without braces": (r"\sqrt", " x", ""),
    "accents without braces": (r"\hat ", "x", ""),
    "arguments without braces": (r"\dfrac 1 ", "x", ""),
    "matrices": (r"\begin{matrix}", "x", r"\end{matrix}"),
    "aligned rows": (r"\begin{aligned}", "x", r"\end{aligned}"),
    "groups by name": (r"\begingroup ", "x", r"\endgroup"),
    "text": (r"\text{", "x", "}"),
    "formulas in text": (r"\text{$", "x", "$}"),
    "styles": (r"\displaystyle x+", "x", ""),
    "colours": (r"\color{red} x+", "x", ""),
    "brackets": ("(x+", "x", ")"),
    "brackets by name": (r"\lbrace x+", "x", r"\rbrace"),
    "factorials": ("!", "x", ""),
    "set notation": (r"\Set{x|", "x", "}"),
    "scripts": (r"\prescript{a}{b}", "x", ""),
    "arrows": (r"\xrightarrow[a]", "x", ""),
    "negations": (r"\not", "x", ""),
}
TEXTS = {
    "quotes": ">" * 10_000 + "x",
    "lists in a line": "- " * 5000 + "x",
    "lists by indentation": "".join(" " * 2 * depth + "- a\n" for depth in range(150)),
    "quotes and lists": "> - " * 2500 + "x",
    "emphasis": "*a **b " * 500 + "c** d*" * 500,
    "links": "[" * 10_000 + "a" + "](b)" * 10_000,
    "pictures": "![" * 10_000 + "a" + "](b.png)" * 5000,
    "links that stay open": "[a](" * 2000,
    "brackets of an address": "[a](" + "(" * 20_000 + ")" * 20_000 + ")",
    "HTML": "<div>" * 5000,
    "HTML in a line": "a " + "<b>" * 5000 + "</b>" * 5000,
    "tables": "<table><tr><td>" * 4000,
    "a table without end": "|a" * 500 + "\n" + "|-" * 500 + "\n" + "x\n" * 1500,
    "comments": "<!--" * 15_000,
}
FRONTS = {
    "flow lists": "tags: " + "[" * 20_000,
    "flow mappings": "{a: " * 10_000,
    "lists whose ends are comments": "[ # ]\n" * 9000,
    "lists whose ends are text": "[ ']',\n" * 9000,
    "block lists": "- " * 20_000,
    "keys": "? " * 20_000,
    "indentation": "".join(" " * depth + "a:\n" for depth in range(300)),
    "anchors": "- &a\n" * 10_000 + "- *a",
    "aliases": "tags: &a [*a]",
    "laughs": "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9) if n else 'x'}]" for n in range(9)),
}


def formula(name: str, depth: int) -> str:
    begin, middle, end = FORMULAS[name]
    return begin * depth + middle + end * depth


def test_nothing_that_is_nested_without_end_ends_a_process_however_small_its_stack():
    stems = dict(TEXTS)
    for name, (begin, _, _) in FORMULAS.items():
        # What reaches the converter in one piece, what just does, and what a file can hold.
        for depth in (SHORT // len(begin), 3900 // len(begin), 20_000 // len(begin)):
            stems[f"{name} {depth}"] = f"${formula(name, depth)}$"
            stems[f"{name} {depth}, displayed"] = f"$$\n{formula(name, depth)}\n$$"
    cases = {name: (question_text(question=f"## Question\n{stem}\n"), stem) for name, stem in stems.items()}
    cases |= {name: (question_text(front=front), "x") for name, front in FRONTS.items()}
    tried = subprocess.run(
        [sys.executable, "-c", TRY, str(SMALL_STACK)], input=json.dumps(cases), capture_output=True, text=True
    )

    assert (tried.returncode, tried.stderr) == (0, "")
    assert tried.stdout.splitlines() == list(cases)


@pytest.mark.parametrize("name", sorted(FORMULAS.keys() - {"formulas in text"}))
@pytest.mark.parametrize("kind", ["${}$", "$$\n{}\n$$"])
def test_a_formula_that_is_nested_without_end_is_a_problem_at_its_place(name, kind):
    stem = kind.replace("{}", formula(name, 5000 // len(FORMULAS[name][0])))
    problems = parsed(question=f"## Question\nOf old,\n\n{stem}\n").problems

    assert told(problems) == ["6:2 E038" if kind == "${}$" else "6:1 E038"]
    assert "a formula is longer than 4000 characters" in problems[0].message


@pytest.mark.parametrize(
    ("tex", "words"),
    [
        (r"\frac{" * 51 + "x" + "}{y}" * 51, "nested more than 50 deep"),
        ("x^{" * 51 + "y" + "}" * 51, "nested more than 50 deep"),
        (r"\left(" * 51 + "x" + r"\right)" * 51, "nested more than 50 deep"),
        (r"\begin{matrix}" * 51 + "x" + r"\end{matrix}" * 51, "nested more than 50 deep"),
        (r"\sqrt" * 51 + " x", "nested more than 50 deep"),
        (r"\def\r{((\r}\r", r"defines a command (\def)"),
        (r"\newcommand{\r}[1]{\frac{#1}{2}}\r{x}", r"defines a command (\newcommand)"),
        (r"\let\r=\frac \r ab", r"defines a command (\let)"),
        ("x" * 4001, "longer than 4000 characters"),
    ],
)
def test_a_formula_is_refused_before_it_gets_to_a_converter(tex, words):
    result = parsed(question=f"## Question\nHow\nmuch is $a$ and ${tex}$?\n")

    assert told(result.problems) == ["5:18 E038"]
    assert words in result.problems[0].message
    assert result.question is None
    assert mathml(tex, display=True) is None


@pytest.mark.parametrize(
    "tex",
    [
        r"\frac{" * 50 + "x" + "}{y}" * 50,
        r"\{" * 51 + r"\}" * 51,
        r"\\left" * 51,
        "{a}" * 200,
        r"\lets{a}\definite",
        "x" * 4000,
    ],
)
def test_a_formula_of_bearable_depth_is_none_too_deep(tex):
    assert formulas.fault(tex) is None


def test_a_long_formula_is_converted_as_a_short_one_is():
    short = "a+"
    long = short * SHORT

    assert mathml(long, display=False).count("<mi>a</mi>") == SHORT * mathml(short, display=False).count(
        "<mi>a</mi>"
    )
    assert mathml(r"\nonsense" * 20, display=False) is None


@pytest.mark.parametrize(
    ("stem", "place"),
    [
        (">" * 20 + " x", "4:1"),
        ("a\n\n" + "- " * 10 + "x", "6:1"),
        ("".join(" " * 2 * depth + "- a\n" for depth in range(11)), "13:1"),
        ("1. " * 10 + "x", "4:1"),
    ],
)
def test_a_block_whose_text_the_parser_would_drop_is_the_one_problem_of_its_file(stem, place):
    assert told(parsed(question=f"## Question\n{stem}\n").problems) == [f"{place} E038"]


@pytest.mark.parametrize("stem", [">" * 19 + " word", "- " * 9 + "word"])
def test_a_block_as_deep_as_the_parser_reads_is_kept(stem):
    assert parsed(question=f"## Question\n{stem}\n").problems == ()


def test_html_is_nested_as_far_as_its_elements_stay_open():
    def problems(stem: str) -> list[str]:
        return told(parsed(question=f"## Question\n{stem}\n").problems)

    assert problems("a\n" + "<b>" * 51) == ["5:1 E038"]
    assert problems("<div>\n" * 51) == ["4:1 E038"]
    assert problems("<p>a<br>" * 60) == problems("<b>a</b> " * 60) == problems("a < b " * 60) == []


def test_every_text_of_a_file_is_looked_at():
    deep = "$" + "{" * 51 + "}" * 51 + "$"
    result = parsed(
        question=f"## Question\n{deep}\n",
        choices=f"## Choices\nA. {deep}\n\nB. b\n\n   {deep}\n",
        explanation=f"## Explanation\n{deep}\n\n### A.\n{deep}\n",
    )
    tasks = parsed(choices=f"## Choices\n- [x] a\n  > {deep}\n- [ ] b\n", answer="")
    quiz = parse_quiz(f"# T\n\n{deep}\n".encode(), "_quiz.en.md", "en")

    assert told(result.problems) == [f"{place} E038" for place in ("4:2", "7:5", "11:5", "17:2", "20:2")]
    assert told(tasks.problems) == ["8:6 E038"]
    assert told(quiz.problems) == ["3:2 E038"]


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("flow lists", "2:22"),
        ("flow mappings", "2:65"),
        ("lists whose ends are comments", "18:1"),
        ("lists whose ends are text", "18:1"),
        ("block lists", "2:33"),
        ("keys", "2:33"),
        ("indentation", "18:17"),
    ],
)
def test_front_matter_that_is_nested_without_end_is_a_problem_at_its_place(name, place):
    result = parsed(front=FRONTS[name])

    assert told(result.problems) == [f"{place} E004"]
    assert result.problems[0].message == "the front matter is nested more than 16 deep"
