"""What nests, and how often it may: the input of parsers that recurse."""

from __future__ import annotations

import random

FORMULAS = [
    (r"\frac{", "}{y}"),
    ("{", "}"),
    (r"\left(", r"\right)"),
    ("x^{", "}"),
    (r"\sqrt", ""),
    (r"\sqrt[", "]{y}"),
    (r"\begin{matrix}", r"\end{matrix}"),
    (r"\begin{cases}a&", r"\\b\end{cases}"),
    (r"\text{", "}"),
    (r"\text{$", "$}"),
    (r"\displaystyle x+", ""),
    (r"\color{red}x+", ""),
    ("(x+", ")"),
    (r"\Set{x|", "}"),
    (r"\pmod{", "}"),
    (r"\dfrac 1 ", ""),
    (r"\hat\vec ", ""),
    (r"\def\r{", r"\r}\r"),
    (r"\begingroup ", r"\endgroup"),
    ("a&", r"\\"),
    (r"\xrightarrow[a]{", "}"),
    ("x'_", "^2"),
    (r"\not", ""),
    ("\\", ""),
    ("#1", ""),
    ("é√", ""),
]
TEXTS = [
    ("> ", ""),
    ("- ", ""),
    ("1. ", ""),
    ("*a **b ", "** c*"),
    ("[", "](b)"),
    ("![", "](b.png)"),
    ("[a](", ")"),
    ("<div>", "</div>"),
    ("<b><p>", "</b>"),
    ("<table><tr><td>", ""),
    ("<!--", "-->"),
    ("`", "`"),
    ("$", "$"),
    ("~~", "~~"),
    ("|a", "|"),
    ("\n  - ", ""),
    ("&#", ";"),
    ("<a href='", "'>"),
    ("\\", ""),
    ("[^", "]"),
    ("```python\n", "\n```\n"),
]
FRONTS = [
    ("[", "]"),
    ("{a: ", "}"),
    ("[ # ]\n", "]"),
    ("[']',", "]"),
    ("- ", ""),
    ("? ", ""),
    ("- &a\n", ""),
    ("!!seq ", ""),
    ("&a [*a, ", "]"),
    ("a:\n ", ""),
    ("'", "'"),
    ("|\n ", ""),
    ("<<: {", "}"),
]


def nested(random: random.Random) -> tuple[str, str]:
    """Return front matter and a text of which one or both nest up to ten thousand deep."""
    kind = random.randrange(3)
    text = _nest(random, TEXTS) if kind == 0 else f"${_nest(random, FORMULAS)}$"
    front = f"tags: {_nest(random, FRONTS)}" if random.random() < 0.2 else ""
    if random.random() < 0.2:
        text = f"$$\n{_nest(random, FORMULAS)}\n$$\n\n{text}"
    return front, text


def _nest(random: random.Random, pairs: list[tuple[str, str]]) -> str:
    """Nest one to three pairs in one another, with or without their ends."""
    chosen = random.choices(pairs, k=random.randint(1, 3))
    deep = random.choice([1, 2, 5, 20, 49, 50, 51, 200, 1000, 10_000])
    begin, end = "".join(pair[0] for pair in chosen), "".join(pair[1] for pair in reversed(chosen))
    deep = min(deep, 25_000 // max(1, len(begin + end)))
    return begin * deep + random.choice(["x", "", "x+y"]) + end * random.choice([deep, 0, deep // 2])
