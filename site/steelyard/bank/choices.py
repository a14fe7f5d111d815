"""The Choices section in both notations: lettered lines, and a task list.

Lettered choices are split on raw lines. In Markdown's eyes two choices with no blank line between are one
paragraph, and what looks like a line may be hidden in a code span; an author sees lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from markdown_it.token import Token

from steelyard.bank.answer import comparable, narrow
from steelyard.bank.model import Text
from steelyard.bank.report import Report, quoted

LETTERS = ascii_uppercase

_LETTERED = re.compile(
    r"(?P<indent> {0,3})(?P<bullet>[-*+] +)?(?P<open>\*\*|__)?(?P<letter>[A-ZＡ-Ｚ])(?P<mid>\*\*|__)?"
    r"(?P<stop>[.．)）:：、])(?P<close>\*\*|__)?(?P<space>\s*)(?P<text>.*)"
)
_ALMOST = re.compile(
    r" {0,3}(?:[-*+] +)?(?:\*\*|__)?"
    r"(?:\d{1,2}[.)．）]|[(（][A-Za-z0-9Ａ-Ｚａ-ｚ]{1,2}[)）]|[a-zａ-ｚ][.)．）])"
)
_TASK = re.compile(r"(?P<marker> {0,3}[-*+] +)\[(?P<box>[ xX])\](?:\s+(?P<text>.*)|$)")
_WIDE_STOPS = "．）：、"


@dataclass(frozen=True)
class ChoiceEntry:
    """A choice as it was found, before the key is known."""

    letter: str
    text: Text
    column: int
    ticked: bool | None = None
    """Of a task list; None in the lettered notation."""
    feedback: Text | None = None


def read(
    lines: Sequence[str], start: int, end: int, tokens: Sequence[Token], report: Report
) -> list[ChoiceEntry]:
    """Read the choices between two lines (from 0, of the whole file); `tokens` are the section's blocks."""
    items = [token for token in tokens if token.type == "list_item_open" and token.level == 1 and token.map]
    tasks = [item for item in items if item.map and _TASK.fullmatch(lines[item.map[0]])]
    for token in tokens:
        if token.type == "heading_open" and token.level == 0 and token.markup in ("-", "=") and token.map:
            line = token.map[1] - 1
            message = (
                f'"{lines[line].strip()[:3]}" makes the text above it a heading: leave a blank line between'
            )
            report(line + 1, 1, "E020", message)
    entries = _tasks(lines, tasks, items, report) if tasks else _lettered(lines, start, end, tokens, report)
    _compare(entries, start, report)
    return entries


def _compare(entries: Sequence[ChoiceEntry], start: int, report: Report) -> None:
    if not 2 <= len(entries) <= len(LETTERS):
        count = {0: "no choice", 1: "one choice"}.get(len(entries), f"{len(entries)} choices")
        report(
            entries[0].text.line if entries else start, 1, "E010", f"found {count}; a question needs 2 to 26"
        )
    seen: dict[str, str] = {}
    for choice in entries:
        text = comparable(choice.text.source)
        if not text:
            report(choice.text.line, choice.column, "E019", f"choice {choice.letter} is empty")
        elif text in seen and seen[text] != choice.letter:
            message = f"choices {seen[text]} and {choice.letter} are the same"
            report(choice.text.line, choice.column, "E019", message)
        seen.setdefault(text, choice.letter)


# ---- lettered lines -------------------------------------------------------------------------------------


def _lettered(
    lines: Sequence[str], start: int, end: int, tokens: Sequence[Token], report: Report
) -> list[ChoiceEntry]:
    begins: list[tuple[int, re.Match[str]]] = []
    strays: list[int] = []
    for i in _candidates(tokens):
        if not lines[i].strip():
            continue
        expected = LETTERS[len(begins)] if len(begins) < len(LETTERS) else ""
        match = _LETTERED.fullmatch(lines[i])
        if match and (_clear(match) or narrow(match["letter"]) == expected):
            begins.append((i, match))
        elif not begins or (_ALMOST.match(lines[i]) and expected and _names(lines[i], expected)):
            strays.append(i)
    limit = begins[0][0] if begins else end
    strays += [i for i in range(start, limit) if lines[i].strip() and i not in strays and not begins]
    for i in sorted(set(strays)):
        hint = f'write "{LETTERS[min(len(begins), 25)]}. …"' if begins else 'write "A. …"'
        report(i + 1, 1, "E017", f"{quoted(lines[i])} is not written as a choice: {hint}")
        if not begins and not _ALMOST.match(lines[i]):
            break
    _check_letters(begins, report)
    bounds = [i for i, _ in begins[1:]] + [end]
    return (
        [_choice(lines, i, stop, match) for (i, match), stop in zip(begins, bounds, strict=True)]
        if begins
        else []
    )


def _candidates(tokens: Iterable[Token]) -> list[int]:
    """Return the lines on which a choice may begin: in paragraphs, also of a list, but not in code."""
    candidates: list[int] = []
    inside: list[str] = []
    for token in tokens:
        if token.nesting == 1:
            if (
                token.type in ("paragraph_open", "heading_open")
                and token.map
                and inside
                in (
                    [],
                    ["bullet_list_open", "list_item_open"],
                )
            ) or (token.type == "ordered_list_open" and not inside and token.map):
                candidates += range(*token.map)
            inside.append(token.type)
        elif token.nesting == -1:
            inside.pop()
    return candidates


def _clear(match: re.Match[str]) -> bool:
    """Say whether the mark ends the letter beyond doubt (`A. x`, but not the `A.` of `A.I.`)."""
    return bool(match["space"] or match["close"] or not match["text"]) or match["stop"] in _WIDE_STOPS


def _names(line: str, letter: str) -> bool:
    """Say whether `(B)` or `b.` stands where choice B should; a number belongs to the choice above it."""
    word = re.search(r"[A-Za-z0-9]{1,2}", narrow(line))
    return word is not None and word[0].upper() == letter


def _check_letters(begins: Sequence[tuple[int, re.Match[str]]], report: Report) -> None:
    seen: set[str] = set()
    expected = "A"
    for i, match in begins:
        letter = narrow(match["letter"])
        column = match.start("letter") + 1
        if letter in seen:
            report(i + 1, column, "E018", f"a choice {letter} was there before")
        elif letter != expected:
            report(i + 1, column, "E016", f"expected choice {expected}, found {letter}")
        seen.add(letter)
        expected = chr(ord(letter) + 1) if letter != "Z" else ""


def _choice(lines: Sequence[str], begin: int, stop: int, match: re.Match[str]) -> ChoiceEntry:
    first = match["text"]
    if match["open"] and not match["mid"] and not match["close"]:
        first = match["open"] + first
    rest = list(lines[begin + 1 : stop])
    if match["bullet"]:
        rest = _dedent(rest, match.end("bullet"))
    return ChoiceEntry(narrow(match["letter"]), _text([first, *rest], begin), match.start("letter") + 1)


def _text(lines: Sequence[str], begin: int) -> Text:
    blank = next((n for n, line in enumerate(lines) if line.strip()), 0)
    return Text("\n".join(lines[blank:]).strip(), begin + blank + 1)


def _dedent(lines: Sequence[str], width: int) -> list[str]:
    return [line[min(width, len(line) - len(line.lstrip(" "))) :] for line in lines]


# ---- task list ------------------------------------------------------------------------------------------


def _tasks(
    lines: Sequence[str], tasks: Sequence[Token], items: Sequence[Token], report: Report
) -> list[ChoiceEntry]:
    entries: list[ChoiceEntry] = []
    for item in items:
        assert item.map
        begin, stop = item.map
        match = _TASK.fullmatch(lines[begin])
        if match is None:
            lettered = _LETTERED.fullmatch(lines[begin])
            code, fix = ("E014", "") if lettered else ("E017", ': write "- [ ] …" or "- [x] …"')
            what = (
                "a lettered choice stands in a task list"
                if lettered
                else f"{quoted(lines[begin])} is no task"
            )
            report(begin + 1, 1, code, what + fix)
            continue
        content = _dedent(lines[begin + 1 : stop], match.end("marker"))
        quote = _trailing_quote(content)
        letter = LETTERS[min(len(entries), len(LETTERS) - 1)]
        text = _text([match["text"] or "", *content[:quote]], begin)
        feedback = None
        if quote < len(content):
            source = "\n".join(re.sub(r"^\s*> ?", "", line) for line in content[quote:])
            feedback = Text(source.strip(), begin + 2 + quote)
        entries.append(ChoiceEntry(letter, text, match.start("box"), match["box"] != " ", feedback))
    return entries


def _trailing_quote(lines: Sequence[str]) -> int:
    """Return where the block quote at the end begins; the number of lines when there is none."""
    begin = len(lines)
    for i in range(len(lines) - 1, -1, -1):
        if lines[i].lstrip().startswith(">"):
            begin = i
        elif lines[i].strip():
            break
    return begin


def is_task(line: str) -> bool:
    """Say whether a raw line begins an item of a task list."""
    return _TASK.fullmatch(line) is not None
