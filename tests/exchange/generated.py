"""Questions out of a seeded generator: raw Markdown full of what GIFT, XML, HTML and Markdown itself take as special."""

from __future__ import annotations

import random
from string import ascii_uppercase
from typing import get_args

from steelyard.bank.model import Question, Scoring
from steelyard.bank.parse import parse

WORDS = [
    *(
        "rank",
        "LoRA",
        "a_b",
        "modules_to_save",
        "x",
        "I.",
        "A.",
        "B)",
        "(C)",
        "1.",
        "12)",
        "-",
        "+",
        "=",
        "==",
        "#",
        "##",
    ),
    *(
        "~",
        "~~",
        "=",
        "#",
        "{",
        "}",
        ":",
        "::",
        "\\",
        "\\\\",
        "\\n",
        "\\:",
        "\\~",
        "\\{",
        "->",
        "=>",
        "%50%",
        "%",
        "[html]",
    ),
    *(
        "[",
        "]",
        "[x]",
        "<",
        ">",
        "<5",
        "&",
        "&amp;",
        "&lt;",
        "&#35;",
        "$",
        "$5",
        "$$",
        "|",
        "!",
        "![",
        "*",
        "**",
        "_",
        "`",
    ),
    *(
        "//",
        "####",
        "http://example.org/a?b=1&c=2",
        "\\(x\\)",
        "\\[",
        "'",
        '"',
        "\u00a0",
        "\u3000",
        "😀",
        "é",
        "½",
        "<!--",
        "-->",
        "]]>",
    ),
    *(
        "蒸らし（Bloom）",
        "勾配",
        "「重み」",
        "メモリは、",
        "半分です。",
        "Ａ．",
        "＃",
        "：",
        "～",
        "・",
        "ﾃｽﾄ",
        "割（わり）",
    ),
    *(
        "`a=b`",
        "`{x: 1}`",
        "``a`b``",
        "`\\n`",
        "` `",
        "`a|b`",
        "$x_1$",
        "$\\frac{a}{b}$",
        "$a=b\\{c\\}$",
        "$r(d + k)$",
        "$~$",
        "$|x|$",
    ),
    *(
        "**bold**",
        "*em*",
        "***both***",
        "**（括弧）**の",
        "~~gone~~",
        "*a **b** c*",
        "<kbd>K</kbd>",
        "H<sub>2</sub>O",
        "<sup>2</sup>",
    ),
    *(
        "[link](https://example.org/a_(b))",
        "[*l*](<http://a.b/c d>)",
        "<https://example.org/~x>",
        "\\\n",
        "  \n",
    ),
]

BLOCKS = [
    "```python\nif a == {}:\n    print('~=#{}:\\\\', \"`\")\n\n# c\n```",
    "~~~\n```\n</code>\n~~~",
    "    indented = {1: '~'}",
    "- one\n- two\n  - three: `x`\n- four",
    "1. first\n\n   more\n2. second",
    "3) third\n4) fourth",
    "- a\n\n* b",
    "> quoted\n> - listed\n>\n> and more",
    "| a | b = c |\n|:--|--:|\n| `x` | $y$ |\n| p \\| q | **s** |",
    "$$\n\\sum_{i=1}^{n} x_i = \\{1\\}\n$$",
    "$$a \\ne b$$",
    "***",
    "#### Part: `x` #1",
]

TITLES = [
    "Rank",
    "A. first",
    "# of ranks",
    "C #",
    "Zero: stage {3} = ~1#",
    "蒸らし（Bloom）の時間",
    "a\\b",
    "%50% & <b>",
    "::x::",
]
TAGS = [
    "memory",
    "a]b",
    "日本語",
    "x: y",
    "true",
    "2024-01-01",
    "technique:lora",
    "difficulty:3",
    "[x]",
    "#1",
]


def questions(count: int, seed: int = 0) -> list[Question]:
    """Return as many questions, in English and Japanese, each different, all read from a file by the bank's parser."""
    dice = random.Random(seed)
    found: list[Question] = []
    while len(found) < count:
        language = dice.choice(["en", "ja"])
        text = _file(dice, len(found))
        result = parse(text.encode(), f"q{len(found)}.{language}.md", f"made/q{len(found)}", language)
        if result.question:  # some heaps of special characters are no question
            found.append(result.question)
    return found


def _file(dice: random.Random, number: int) -> str:
    letters = ascii_uppercase[: dice.choice([2, 3, 4, 5, 6, 7, 12])]
    key = sorted(dice.sample(letters, dice.choice([1, 1, 1, 2, 3, len(letters)]) if len(letters) > 2 else 1))
    front = [f"tags: [{', '.join(repr(tag) for tag in dice.sample(TAGS, 2))}]"] if dice.random() < 0.5 else []
    if dice.random() < 0.4:
        front.append(f"scoring: {dice.choice(get_args(Scoring))}")
    if dice.random() < 0.3:
        front.append("shuffle: false")
    if dice.random() < 0.1:
        front.append("type: multiple")
    lines = ["---", *front, "---"] if front else []
    lines += [f"# {dice.choice(TITLES)} {number}", "## Question", _text(dice, blocks=2), "## Choices"]
    for position, letter in enumerate(letters):
        lines.append(f"{letter}. {position} {_text(dice, blocks=1)}\n")
    lines += ["## Answer", ", ".join(key), "## Explanation", _text(dice, blocks=3)]
    for letter in letters:
        if dice.random() < 0.5:
            lines += [f"### {letter}", _text(dice, blocks=1)]
    return "\n".join(lines) + "\n"


def _text(dice: random.Random, blocks: int) -> str:
    parts = [_words(dice)]
    for _ in range(dice.randint(0, blocks)):
        parts.append(dice.choice(BLOCKS) if dice.random() < 0.5 else _words(dice))
    return "\n\n".join(parts)


def _words(dice: random.Random) -> str:
    words = [dice.choice(WORDS) for _ in range(dice.randint(1, 9))]
    return "Why " + "".join(word + dice.choice(["", " ", " ", "\n"]) for word in words).strip()
