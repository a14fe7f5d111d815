"""GIFT read the way Moodle reads it (qformat_gift): placeholders for escapes, then one cut after the other.

Written from the description of that algorithm, for the tests alone; nothing of it is shared with `steelyard.exchange`.
"""

from __future__ import annotations

import re

_CODES = {
    ":": "&&058;",
    "#": "&&035;",
    "=": "&&061;",
    "{": "&&123;",
    "}": "&&125;",
    "~": "&&126;",
    "n": "&&010",
}
_WEIGHT = re.compile(r"%-*\d{1,2}\.?\d*%")


def read_gift(source: str) -> list[dict]:
    """Return the multiple-choice questions of a file, texts as Moodle would store them."""
    blocks = [block for block in re.split(r"\n\s*\n", source) if block.strip()]
    return [question for block in blocks if (question := _question(block))]


def _question(block: str) -> dict | None:
    lines = [" " if line.strip().startswith("//") else line for line in block.split("\n")]
    text = "\n".join(lines).strip().replace("\\\\", "&&092;")
    for char, code in _CODES.items():
        text = text.replace(f"\\{char}", code)
    text = text.replace("&&092;", "\\")
    if text.startswith("$CATEGORY:"):
        return None
    name, _, text = text.removeprefix("::").partition("::")
    start, finish = text.index("{"), text.index("}")
    answers = text[start + 1 : finish].strip()
    stem, kind = _formatted(text[:start] + text[finish + 1 :], "moodle")
    general = ""
    if "####" in answers:
        answers, _, general = answers.rpartition("####")
    single = "=" in answers
    found = []
    for answer in (part.strip() for part in answers.strip().replace("=", "~=").split("~") if part.strip()):
        fraction = 0.0
        if answer.startswith("="):
            fraction, answer = 1.0, answer[1:]
        elif _WEIGHT.match(answer):
            weight, _, answer = answer[1:].partition("%")
            fraction = float(weight) / 100
        words, _, feedback = answer.partition("#")
        found.append(
            {
                "text": _formatted(words, kind)[0],
                "feedback": _formatted(feedback, kind)[0],
                "fraction": fraction,
            }
        )
    return {
        "name": _plain(name).strip(),
        "text": stem,
        "format": kind,
        "single": single,
        "generalfeedback": _formatted(general, kind)[0],
        "answers": found,
    }


def _formatted(text: str, default: str) -> tuple[str, str]:
    text = text.strip()
    kind = default
    if text.startswith("["):
        named = text[1 : text.index("]")]
        if named in ("html", "moodle", "plain", "markdown"):
            kind, text = named, text[text.index("]") + 1 :]
    return _plain(text).strip(), kind


def _plain(text: str) -> str:
    for char, code in _CODES.items():
        text = text.replace(code, "\n" if char == "n" else char)
    return text
