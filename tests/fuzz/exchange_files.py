"""GIFT, Moodle XML and QTI after a few mutations: read, refused or left out, each with its lines, and valid when written."""

from __future__ import annotations

import random
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

from lxml import etree

from exchange.foreign import PIECES, corpus, lost
from exchange.generated import questions
from exchange.qti_validity import problems_of
from fuzz.trial import Trial, attempt
from steelyard.evidence import Records
from steelyard.exchange import gift, moodle_xml, qti
from steelyard.exchange.export import item
from steelyard.exchange.files import import_plan
from steelyard.exchange.item import PLUGINFILE, Reading

_SIGNS = [
    *"~=#{}:\\%[]<>&;/\"'\n\t$",
    "\n\n",
    "::",
    "####",
    "%50%",
    "%-1e2%",
    "[html]",
    "\\n",
    "->",
    "$CATEGORY: ",
    "//",
]
_XML = [
    "<![CDATA[",
    "]]>",
    "</text>",
    "<text>",
    "&lt;",
    "&#0;",
    "&#8;",
    "<file/>",
    'fraction="1,5"',
    "\x00",
    "<!DOCTYPE x>",
]
_GIFT = """$CATEGORY: $course$/One

// [id:a/b] [tag:x]
::Title::[html]<p>Stem <b>bold</b></p>{
=<p>right</p>#feedback
~%-50%wrong
####why
}

::Two::True {T#no#yes}

Word {~%50%a ~%50%b ~c} gap.
"""


def _mutated(dice: random.Random, text: str, signs: list[str]) -> bytes:
    for _ in range(dice.randint(0, 6)):
        at = dice.randrange(len(text) + 1)
        match dice.randrange(5):
            case 0:
                text = text[:at] + text[at + dice.randint(1, 9) :]
            case 1:
                text = text[:at] + dice.choice(PIECES) + text[at:]
            case 2:
                text = text[:at] + dice.choice(signs) * dice.choice([1, 1, 2, 3000]) + text[at:]
            case 3:
                text = text[:at] + f"<{dice.choice(['a ', 'b>', 'td>', '!--', 'ul><li>'])}" * 2000 + text[at:]
            case 4:
                text = text[:at] + text[dice.randrange(len(text) + 1) :][:80] + text[at:]
    return text.encode()


def try_gift(dice: random.Random) -> Trial:
    """Import a mutated GIFT file."""
    data = _mutated(dice, _GIFT, _SIGNS)
    return attempt(data, lambda: _judge(gift.read(data.decode()), data))


def try_moodle_xml(dice: random.Random) -> Trial:
    """Import a Moodle XML file, mutated or whole: of a whole one nothing is lost without a line."""
    made = corpus(dice, 5)
    data = made.data if dice.random() < 0.3 else _mutated(dice, made.data.decode(), [*_SIGNS, *_XML])

    def judge() -> tuple[str, list[str]]:
        reading = moodle_xml.read(data)
        outcome, found = _judge(reading, data)
        if data == made.data:
            files = import_plan(moodle_xml.read(data), "en", "T").files
            missing = lost(made, files, "\n".join(note.message for note in reading.notes))
            found += [f"neither there nor told: {missing}"] if missing else []
        return outcome, found

    return attempt(data, judge)


def try_qti(dice: random.Random) -> Trial:
    """Export made-up questions as QTI: the package is valid by the published DTD."""
    seed = dice.randrange(2**31)

    def judge() -> tuple[str, list[str]]:
        found = [
            item(question, Records({}), Path(__file__).parent, PLUGINFILE, lambda message: None)
            for question in questions(3, seed)
        ]
        package = ZipFile(BytesIO(qti.write(found, "Made", lambda *_: None)))
        for name in package.namelist():
            etree.fromstring(package.read(name))
        return "written", problems_of(package)

    return attempt(str(seed).encode(), judge)


def _judge(reading: Reading, data: bytes) -> tuple[str, list[str]]:
    last = data.count(b"\n") + 2
    found = [f"line {n.line} of {last}" for n in (*reading.errors, *reading.notes) if not 1 <= n.line <= last]
    if reading.errors:
        return "refused", found
    read = len(reading.items)
    before = reading.left_out
    plan = import_plan(reading, "en", "T")
    if len(plan.names) + reading.left_out - before != read:
        found.append("the count of what is left out is wrong")
    if sum("is left out: " in note.message for note in reading.notes) < reading.left_out:
        found.append("something is left out and not told")
    return ("imported" if plan.names else "nothing"), found
