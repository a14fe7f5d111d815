"""Question files after a few mutations: whatever a keyboard, an editor or a disk does to one, it parses or gets problems."""

from __future__ import annotations

import random
from pathlib import Path

from fuzz.trial import Trial, attempt
from steelyard.bank.codes import CODES
from steelyard.bank.parse import Parsed, parse
from steelyard.bank.prose import scan
from steelyard.grading import grade

FILES = Path(__file__).parents[1] / "bank" / "files"
SEEDS = {path.name: path.read_bytes() for path in sorted(FILES.glob("*.md"))}
WEIGHTS = {"coffee.md": 1, "rank.en.md": 4, "tasks.en.md": 4}

PIECES = [
    *(
        b"\x00",
        b"\xff",
        b"\xed\xa0\x80",
        b"\r",
        b"\n",
        b"\r\n",
        b"\t",
        b"\xef\xbb\xbf",
        b"\xe2\x80\xa8",
        b"\x1b[",
    ),
    *(
        b"---\n",
        b"---",
        b"===\n",
        b"```\n",
        b"~~~\n",
        b"    ",
        b"> ",
        b"- ",
        b"1. ",
        b"| a |\n|---|\n",
        b"$$\n",
        b"$",
    ),
    *(
        b"# ",
        b"## ",
        b"##",
        b"### ",
        b"## Answer\n",
        b"## Choices\n",
        b"##Question\n",
        b"## \xe6\xad\xa3\xe8\xa7\xa3\n",
    ),
    *(
        b"A. ",
        b"B) ",
        b"(C) ",
        b"- [x] ",
        b"- [ ] ",
        b"**A",
        b"**",
        b"_",
        b"`",
        b"[",
        b"](",
        b"](#half)",
        b"[a]: /b\n",
    ),
    *(
        b"all",
        b"A, Z",
        b"\xef\xbc\x88",
        b"\xef\xbc\x89",
        b"\xe3\x80\x81",
        b"99 %",
        b"<b>",
        b"<!--",
        b"&amp;",
        b"\\",
    ),
    *(
        b"claims:",
        b"- {id: ",
        b"&a [*a]",
        b"<<: *a\n",
        b"!!binary x",
        b"? ",
        b"{",
        b"[[[[[[[[[[[[[[[[[[",
        b"'",
        b'"',
        b": ",
    ),
]


def mutant(random: random.Random) -> bytes:
    """Return a seed after one to four mutations of bytes or lines."""
    names = list(WEIGHTS)
    data = SEEDS[random.choices(names, WEIGHTS.values())[0]]
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(data) + 1)
        lines = data.split(b"\n")
        i, j = random.randrange(len(lines)), random.randrange(len(lines))
        match random.randrange(9):
            case 0:
                data = data[:at] + bytes([random.randrange(256)]) + data[at + 1 :]
            case 1:
                data = data[:at] + data[at + random.randint(1, 8) :]
            case 2 | 3:
                data = data[:at] + random.choice(PIECES) + data[at:]
            case 4:
                data = data[:at] if random.random() < 0.2 else data[at // 8 :]
            case 5:
                data = b"\n".join(lines[:i] + lines[i + 1 :])
            case 6:
                data = b"\n".join([*lines[:i], lines[j], *lines[i:]])
            case 7:
                lines[i] = random.choice(PIECES) + lines[i]
                data = b"\n".join(lines)
            case 8:
                other = SEEDS[random.choice(names)].split(b"\n")
                k = random.randrange(len(other))
                data = b"\n".join(lines[:i] + other[k : k + random.randint(1, 5)] + lines[i:])
    return data


def lines_of(data: bytes) -> int:
    """Return how many lines an editor shows, not counting an empty one after the last line's end."""
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    return max(1, len(lines) - (lines[-1] == b""))


def try_mutant(random: random.Random) -> Trial:
    """Parse a mutated question file: `parsed` or `problems`, and nothing raised."""
    data = mutant(random)
    return attempt(data, lambda: _judge(data))


def _judge(data: bytes) -> tuple[str, list[str]]:
    parsed = parse(data, "q.md", "q")
    return "problems" if parsed.question is None else "parsed", complaints(data, parsed)


def complaints(data: bytes, parsed: Parsed) -> list[str]:
    """Return what is wrong with what the bank makes of this file."""
    last = lines_of(data)
    found = []
    if parsed.question is None and not any(problem.is_error for problem in parsed.problems):
        found.append("neither question nor error")
    for problem in parsed.problems:
        if not 1 <= problem.line <= last or problem.column < 1 or problem.code not in CODES:
            found.append(f"{problem} of {last} lines")
    if question := parsed.question:
        texts = [question.stem, *(choice.text for choice in question.choices)]
        texts += [part.text for part in question.explanation]
        places = [item.line for text in texts for item in (*scan(text).numbers, *scan(text).mentions)]
        if not all(
            1 <= line <= last for line in [*places, *(text.line for text in texts), parsed.answer_line]
        ):
            found.append("a line outside the file")
        if grade(question, question.key).outcome != "right":
            found.append("the key is not right")
    return found
