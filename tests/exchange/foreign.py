"""Questions as other tools write them, out of a seeded generator: every element of which import has ever lost something.

Each piece of HTML holds a word of its own, each picture a content of its own: so what is lost can be told.
"""

from __future__ import annotations

import base64
import random
from dataclasses import dataclass, field
from html import escape

PIECES = [
    "{w}",
    "<p>{w}</p>",
    "<p>the &lt;b&gt; of {w}</p>",
    "What is the <head> of {w}?",
    "vector<int> {w}; #include <stdio.h>",
    "List<{w}> x",
    "if a<b and c> {w}",
    "<title> of {w}",
    "<!-- {w} -->",
    "<script>{w}()</script>",
    "<style>.{w} {{}}</style>",
    "<pre>a<br>  {w}\n b</pre>",
    "<p><code>a = 1<br>{w}</code></p>",
    "<pre><div>{w}</div><div>b</div></pre>",
    "<ul>\n<li>{w}</li>\n<li>y</ul>",
    '<ol type="a"><li>{w}</ol>',
    "<ul>{w}<li>x</ul>",
    '<span style="color: red">{w}</span>',
    '<span style="text-decoration: underline">{w}</span>',
    '<b>{w}</b> <i style="font-weight: bold">x</i>',
    "<math><mi>{w}</mi><mo>+</mo><mn>2</mn></math>",
    '<iframe src="https://example.org/{w}"></iframe>',
    "<video controls><source src='clip.mp4'>{w}</video>",
    "<svg><text>{w}</text></svg>",
    "<object data='x.swf'>{w}</object>",
    "<table><caption>{w}</caption><tr><td>a<td>b</table>",
    "<table><tr><td><ul><li>{w}</ul></td></tr></table>",
    "<table>{w}<tr><th>a</table>",
    '<a href="https://example.org/"><div>{w}</div></a>',
    '<abbr title="{w}">x</abbr>',
    "<q>{w}</q>",
    "<h2><p>{w}</p></h2>",
    "<blockquote><p>{w}</blockquote>",
    "<select><option>{w}</select>",
    "<dl><dt>{w}<dd>x</dl>",
    "<o:p>{w}</o:p><![endif]>",
    "\\({w}^2\\) and \\[{w}\\]",
    "&lt;{w}&gt; &amp; ~=#{{}}",
]
MARKS = [
    ("100", "0", "0"),
    ("50", "50", "0"),
    ("33.33", "33.33333", "33.333333333333336"),
    ("100", "-50", "-50"),
]


@dataclass
class Corpus:
    """A Moodle XML file, and what has to be in what is made of it or in a line."""

    data: bytes
    words: list[str] = field(default_factory=list)
    pictures: dict[str, bytes] = field(default_factory=dict)
    """File name (in no other) → content."""
    questions: int = 0


class _Maker:
    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.words: list[str] = []
        self.pictures: dict[str, bytes] = {}

    def word(self) -> str:
        self.words.append(f"word{len(self.words)}z")
        return self.words[-1]

    def text(self, tag: str, attributes: str = "", inside: str = "", most: int = 3) -> str:
        pieces = [self.dice.choice(PIECES).format(w=self.word()) for _ in range(self.dice.randint(0, most))]
        html = f"{self.word()} {' '.join(pieces)}"  # a text of nothing but what is dropped would be empty
        file = ""
        if self.dice.random() < 0.3:
            name, data = self.dice.choice(["image.png", "a b.gif"]), f"picture{len(self.pictures)}".encode()
            self.pictures[f"{name} {len(self.pictures)}"] = data
            coded = base64.b64encode(data).decode()
            kind = self.dice.randrange(3 if most else 2)
            url = ("@@PLUGINFILE@@/" + name.replace(" ", "%20"), f"@@PLUGINFILE@@/{name}?time=1")[kind % 2]
            if kind == 2:
                url = f"data:image/png;base64,{coded}"
            else:
                file = f'<file name="{name}" path="/" encoding="base64">{coded}</file>'
            html += f' <img src="{url}" alt="">'
        written = f"<![CDATA[{html}]]>" if self.dice.random() < 0.5 else escape(html)
        return f'<{tag} format="html"{attributes}><text>{written}</text>{file}{inside}</{tag}>'

    def question(self) -> str:
        marks = self.dice.choice(MARKS)
        single = marks[0] == "100" and marks[1] != "50"
        answers = "".join(
            self.text(
                "answer", f' fraction="{mark}"', self.text("feedback") if self.dice.random() < 0.5 else ""
            )
            for mark in marks
        )
        parts = [
            f"<name><text>{self.word()}</text></name>",
            self.text("questiontext"),
            self.text("generalfeedback") if self.dice.random() < 0.5 else "",
            f"<single>{str(single).lower()}</single><defaultgrade>{self.dice.choice(['1', '3.0'])}</defaultgrade>",
            self.text("correctfeedback", most=0) if self.dice.random() < 0.2 else "",
            answers,
            f"<tags><tag><text>{self.word()}</text></tag></tags>",
        ]
        return f'<question type="multichoice">{"".join(parts)}</question>'


def corpus(dice: random.Random, count: int) -> Corpus:
    """Return a file of as many questions, in several categories."""
    maker = _Maker(dice)
    lines = []
    for number in range(count):
        if dice.random() < 0.1 or not number:
            path = f"<category><text>$course$/top/{maker.word()}</text></category>"
            lines.append(f'<question type="category">{path}</question>')
        lines.append(maker.question())
    data = "\n".join(['<?xml version="1.0"?>', "<quiz>", *lines, "</quiz>"]).encode()
    return Corpus(data, maker.words, maker.pictures, count)


def lost(corpus: Corpus, files: dict[str, bytes], told: str) -> list[str]:
    """Return what is neither in the files nor in the lines that were told."""
    text = "\n".join(data.decode() for name, data in files.items() if name.endswith(".md")) + told
    contents = set(files.values())
    missing = [word for word in corpus.words if word not in text]
    for name, data in corpus.pictures.items():
        if data not in contents and f'the picture "{name.rpartition(" ")[0]}' not in told:
            missing.append(name)
    return missing
