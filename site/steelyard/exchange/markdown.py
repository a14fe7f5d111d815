"""HTML to the Markdown of question files, which `steelyard.markdown` reads back as the same HTML.

Converters from packages know CommonMark, but neither formulas between dollars, nor emphasis beside
Japanese brackets, nor that a line `B. …` begins a choice; so this is written for the one dialect. What
Markdown lacks and pages keep (`<sub>`, `<kbd>` …) stays HTML.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from steelyard.exchange.tree import Element, tree
from steelyard.html import SCHEME
from steelyard.markdown import parser

_BLOCK_WORDS = (
    "address article aside blockquote center dd details div dl dt fieldset figcaption figure footer form h1 "
    "h2 h3 h4 h5 h6 header hr li main nav ol p pre section summary table tbody td tfoot th thead tr ul"
)
_BLOCKS = frozenset(_BLOCK_WORDS.split())
_KEPT = {"abbr", "del", "ins", "kbd", "mark", "rp", "rt", "ruby", "small", "sub", "sup", "u", "var"}
_MARKS = {"strong": "**", "b": "**", "em": "*", "i": "*", "s": "~~", "strike": "~~"}
_PLAIN = {"**": "strong", "*": "em", "~~": "s"}
_SPECIAL = re.compile(r"[\\`*\[\]<$~|]|&(?=[#A-Za-z])|(?<![^\W_])_|_(?![^\W_])")
_MATH = re.compile(r"\\\((.+?)\\\)|\\\[(.+?)\\\]|\$\$(.+?)\$\$", re.DOTALL)
_SPACE = re.compile(r"[ \t\n\r\f]+")
_LINE_START = re.compile(r"[#>+\-=:]|\d{1,9}(?=[.)])")
_CHOICE = re.compile(
    r"((?:\*\*|__)?)(?:([A-Za-zＡ-Ｚａ-ｚ])(?=(?:\*\*|__)?[.．)）:：、])"
    r"|([(（])(?=[A-Za-z0-9Ａ-Ｚａ-ｚ]{1,2}[)）]))"
)
_HEADING_LETTER = re.compile(r"([*_]*)([A-ZＡ-Ｚ])(?=[*_]*(?:$|[.．)）:：、]))")

_MD = parser()

Note = Callable[[str], None]


def to_markdown(
    html: str, note: Note, *, pictures: Mapping[str, str] = {}, heading: int = 3, choice: bool = False
) -> str:
    """Return HTML as Markdown. `note` is told of what Markdown cannot hold.

    `pictures` maps addresses that `<img>` may have to those that the file will have. Headings begin no higher
    than level `heading`. In the text of a `choice` no line may look as if it began the next one.
    """
    writer = _Writer(note, pictures, heading, choice)
    return "\n\n".join(writer.blocks(tree(html).children))


class _Writer:
    def __init__(self, note: Note, pictures: Mapping[str, str], heading: int, choice: bool) -> None:
        self.note = note
        self.pictures = pictures
        self.heading = heading
        self.choice = choice

    # ---- blocks -----------------------------------------------------------------------------------------

    def blocks(self, children: Iterable[Element | str]) -> list[str]:
        pieces: list[str] = []
        run: list[Element | str] = []
        before, other = "", False
        for child in _unwrapped(children):
            if isinstance(child, str) or child.tag not in _BLOCKS:
                run.append(child)
                continue
            words = self.paragraphs(run)
            run = []
            # Two lists of a kind, one right after the other, would be one list: the second gets another mark.
            other = before == child.tag and not words and not other
            made = self.block(child, other)
            before = child.tag if made or (before == child.tag and not words) else ""
            pieces += words + made
        return pieces + self.paragraphs(run)

    def block(self, element: Element, other: bool) -> list[str]:
        """Return one block element as Markdown blocks; a list with the `other` of its two marks."""
        tag = element.tag
        if tag in ("ul", "ol"):
            return self.items(element, other)
        if tag == "blockquote":
            lines = "\n\n".join(self.blocks(element.children)).split("\n")
            return ["\n".join(f"> {line}".rstrip() for line in lines)] if lines != [""] else []
        if tag == "pre":
            return [_fence(element)]
        if tag == "hr":
            return ["***"]
        if tag == "table":
            return self.table(element)
        if re.fullmatch("h[1-6]", tag):
            words = _one_line(self.inline(element.children))
            words = _HEADING_LETTER.sub(lambda m: f"{m[1]}&#{ord(m[2])};", words, count=1)
            if words.endswith("#"):
                words = f"{words[:-1]}\\#"
            return [f"{'#' * max(self.heading, int(tag[1]))} {words}"] if words else []
        if tag == "dt":
            return self.paragraphs([Element("strong", {}, element.children)])
        return self.blocks(element.children)

    def paragraphs(self, run: Sequence[Element | str]) -> list[str]:
        """Return a run of inline content as a paragraph, cut where a displayed formula stands in it."""
        pieces = []
        for piece in _cut(run):
            if isinstance(piece, str):
                pieces.append(self.display(piece))
            elif words := self.lines(self.inline(piece)):
                pieces.append(words)
        return pieces

    def display(self, latex: str) -> str:
        block = f"$$\n{latex}\n$$" if "\n" in latex else f"$${latex}$$"
        tokens = _MD.parse(block)
        if [token.type for token in tokens] == ["math_block"] and tokens[0].content.strip() == latex:
            return block
        self.note(f'the formula "{latex}" cannot stand between dollars: it remains as code')
        return self.code(latex)

    def lines(self, words: str) -> str:
        """Return a paragraph of which no line is taken for the beginning of something else."""
        return "\n".join(self.line(line) for line in _edged(words).split("\n"))

    def line(self, line: str) -> str:
        if match := _LINE_START.match(line):
            end = match.end()
            return f"{line[:end]}\\{line[end:]}" if line[0].isdigit() else f"\\{line}"
        if self.choice and (match := _CHOICE.match(line)):
            return f"{match[1]}&#{ord(match[2] or match[3])};{line[match.end() :]}"
        return line

    def items(self, element: Element, other: bool) -> list[str]:
        items = [child for child in element.children if isinstance(child, Element)]
        loose = any(
            isinstance(child, Element) and child.tag == "p" for item in items for child in item.children
        )
        start = element.attributes.get("start", "1")
        number = int(start) if re.fullmatch(r"\d{1,8}", start) else 1
        pieces = []
        for index, item in enumerate(items):
            if element.tag == "ul":
                marker = "*" if other else "-"
            else:
                marker = f"{number + index}{')' if other else '.'}"
            content = ("\n\n" if loose else "\n").join(self.blocks(item.children)).split("\n")
            indent = " " * (len(marker) + 1)
            lines = [
                f"{marker} {content[0]}".rstrip(),
                *(indent + line if line else "" for line in content[1:]),
            ]
            pieces.append("\n".join(lines))
        return [("\n\n" if loose else "\n").join(pieces)] if pieces else []

    def table(self, table: Element) -> list[str]:
        rows = [
            [cell for cell in row.children if isinstance(cell, Element) and cell.tag in ("td", "th")]
            for row in _rows(table)
        ]
        rows = [row for row in rows if row]
        if not rows:
            return []
        if any(name in cell.attributes for row in rows for cell in row for name in ("colspan", "rowspan")):
            self.note("a table has cells that span several: look at it")
        if not any(cell.tag == "th" for cell in rows[0]) and len(rows) > 1 and not _has_head(table):
            rows.insert(0, [Element("th") for _ in rows[0]])
        width = max(len(row) for row in rows)
        aligned = [_alignment(cell) for cell in rows[0]] + ["---"] * (width - len(rows[0]))
        lines = [[self.cell(cell) for cell in row] + [""] * (width - len(row)) for row in rows]
        return ["\n".join(f"| {' | '.join(line)} |" for line in [lines[0], aligned, *lines[1:]])]

    def cell(self, cell: Element) -> str:
        """Return a cell on one line; the pipes in it are escaped once, whatever they stand in."""
        words = "<br>".join(_one_line(block) for block in self.inlines(cell.children))
        return words.replace("\\|", "|").replace("|", "\\|")

    def inlines(self, children: Iterable[Element | str]) -> list[str]:
        """Return blocks that have to become a line each."""
        pieces: list[str] = []
        run: list[Element | str] = []
        for child in _unwrapped(children):
            if isinstance(child, str) or child.tag not in _BLOCKS:
                run.append(child)
                continue
            pieces.append(self.inline(run))
            run = []
            pieces += self.inlines(child.children)
        return [words for words in [*pieces, self.inline(run)] if words.strip()]

    # ---- inline -----------------------------------------------------------------------------------------

    def inline(self, children: Iterable[Element | str], marked: bool = False) -> str:
        out = ""
        siblings = list(children)
        for child, following in zip(siblings, [*siblings, ""][1:], strict=True):
            if isinstance(child, str):
                out += self.text(child, out)
            elif child.tag in _MARKS:
                after = following if isinstance(following, str) else following.text()
                out += self.emphasis(child, out, after[:1], marked)
            else:
                out += self.element(child, marked)
        return out

    def text(self, text: str, before: str) -> str:
        out, at = "", 0
        for match in _MATH.finditer(text):
            out += self.words(text[at : match.start()], before + out)
            latex = next(group for group in match.groups() if group is not None)
            made = self.formula(latex)
            if out[-1:].isdigit():  # a digit beside a dollar would unmake the formula
                out = f"{out[:-1]}&#{ord(out[-1])};"
            elif (not out and before[-1:].isdigit()) or (before + out).endswith("$"):
                made = f"<span></span>{made}"
            out += made
            at = match.end()
        return out + self.words(text[at:], before + out)

    def words(self, text: str, before: str) -> str:
        words = re.sub("!$", r"\\!", _escaped(text))  # a link or a picture may follow
        if before.endswith((" ", "\n")):
            words = words.removeprefix(" ")
        if before.endswith("$") and words[:1].isdigit():
            words = f"&#{ord(words[0])};{words[1:]}"
        return words

    def formula(self, latex: str) -> str:
        latex = _SPACE.sub(" ", latex.strip())
        children = _MD.parseInline(f"a ${latex}$ b")[0].children or []
        if [token.content for token in children if token.type == "math_inline"] == [latex]:
            return f"${latex}$"
        self.note(f'the formula "{latex}" cannot stand between dollars: it remains as code')
        return self.code(latex)

    def element(self, element: Element, marked: bool) -> str:
        tag = element.tag
        if tag == "br":
            return "\\\n"
        if tag in ("code", "tt", "samp"):
            return self.code(element.text())
        if tag == "img":
            return self.picture(element)
        if tag == "a":
            return self.link(element, marked)
        inner = self.inline(element.children, marked)
        return f"<{tag}>{inner}</{tag}>" if tag in _KEPT and inner else inner

    def emphasis(self, element: Element, before: str, after: str, marked: bool) -> str:
        """Return emphasis in stars where these are read as such, else as the HTML element."""
        mark = _MARKS[element.tag]
        name = _PLAIN[mark]
        inner = self.inline(element.children, marked=True)
        words = inner.strip(" ")
        if not words:
            return inner
        left, right = inner[: len(inner) - len(inner.lstrip(" "))], inner[len(inner.rstrip(" ")) :]
        close = [left[-1:] or _neighbour(before[-1:]), right[:1] or _neighbour(after)]
        shown = _MD.renderInline(f"{close[0]}{mark}{words}{mark}{close[1]}")
        beside = before.endswith(("*", "~")) and before[-2:-1] != "\\"
        if marked or beside or shown != f"{close[0]}<{name}>{_MD.renderInline(words)}</{name}>{close[1]}":
            return f"{left}<{name}>{words}</{name}>{right}"
        return f"{left}{mark}{words}{mark}{right}"

    def code(self, text: str) -> str:
        text = text.replace("\n", " ")
        if not text:
            return ""
        ticks = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
        ends = text[0] == "`" or text[-1] == "`" or (text[0] == text[-1] == " " and bool(text.strip()))
        return f"{ticks} {text} {ticks}" if ends else f"{ticks}{text}{ticks}"

    def link(self, element: Element, marked: bool) -> str:
        inner = self.inline(element.children, marked)
        url = element.attributes.get("href", "").strip()
        if not inner.strip():
            return inner
        if not re.match(r"(https?:|mailto:)", url, re.IGNORECASE):
            if url:
                self.note(f'the link "{url}" leads nowhere from here: its words remain')
            return inner
        return f"[{inner}](<{_address(url)}>)"

    def picture(self, element: Element) -> str:
        url = element.attributes.get("src", "").strip()
        words = _escaped(_SPACE.sub(" ", element.attributes.get("alt", "")))
        if url in self.pictures:
            return f"![{words}](<{_address(self.pictures[url])}>)"
        if re.match("https?:", url, re.IGNORECASE):
            self.note(f'the picture "{url}" lies on another site: it becomes a link')
            return f"[{words or _escaped(url)}](<{_address(url)}>)"
        shown = f"{url[:40]}…" if len(url) > 40 else url
        self.note(f'the picture "{shown}" is not in the file: its description remains')
        return f"*[{words}]*" if words and SCHEME.match(url) is None else words


# ---- small pieces ------------------------------------------------------------------------------------------


def _unwrapped(children: Iterable[Element | str]) -> Iterable[Element | str]:
    """Look through inline elements that hold blocks, as careless HTML has; emphasis goes into the blocks."""
    for child in children:
        if isinstance(child, Element) and child.tag not in _BLOCKS and _holds_block(child):
            inner = _pushed(child.tag, child.children) if child.tag in _MARKS else child.children
            yield from _unwrapped(inner)
        else:
            yield child


def _pushed(mark: str, children: Iterable[Element | str]) -> list[Element | str]:
    pieces: list[Element | str] = []
    for child in children:
        if isinstance(child, str):
            pieces.append(Element(mark, {}, [child]) if child.strip() else child)
        elif child.tag in ("pre", "hr"):
            pieces.append(child)
        elif child.tag in _BLOCKS or _holds_block(child):
            pieces.append(Element(child.tag, child.attributes, _pushed(mark, child.children)))
        else:
            pieces.append(Element(mark, {}, [child]))
    return pieces


def _holds_block(element: Element) -> bool:
    return any(
        isinstance(child, Element) and (child.tag in _BLOCKS or _holds_block(child))
        for child in element.children
    )


def _cut(run: Sequence[Element | str]) -> Iterable[str | list[Element | str]]:
    """Cut a run at its displayed formulas: lists of inline content, and the TeX between them."""
    piece: list[Element | str] = []
    for child in run:
        if not isinstance(child, str):
            piece.append(child)
            continue
        at = 0
        for match in _MATH.finditer(child):
            if match[1] is None:
                yield [*piece, child[at : match.start()]]
                yield (match[2] or match[3]).strip()
                piece, at = [], match.end()
        piece.append(child[at:])
    yield piece


def _neighbour(char: str) -> str:
    """Return a character beside emphasis, or for a special one a plain mark that counts alike."""
    return "!" if char in '\\`*_[]<>&$~|"' and char else char


def _escaped(text: str) -> str:
    text = _SPACE.sub(" ", text)
    return _SPECIAL.sub(lambda match: f"\\{match[0]}", text)


def _edged(words: str) -> str:
    """Return a paragraph as Markdown keeps it: no white space at its edges but what is written as a number.

    A line break at the end shows nothing and goes; one at the beginning can only be written as HTML.
    """
    words = re.sub(r"(?:\\\n| |\n)+$", "", words)
    start = re.match(r"(?:\\\n| |\n)*", words)
    if start and words:
        words = "<br>" * start[0].count("\\\n") + words[start.end() :]
    if words and words[0].isspace():
        words = f"&#{ord(words[0])};{words[1:]}"
    if words and words[-1].isspace():
        words = f"{words[:-1]}&#{ord(words[-1])};"
    return words


def _one_line(words: str) -> str:
    return re.sub(r"\\?\n", "<br>", _edged(words))


def _fence(element: Element) -> str:
    code = next((c for c in element.children if isinstance(c, Element) and c.tag == "code"), element)
    text = element.text()
    text = text.removesuffix("\n")
    ticks = "`" * max(3, max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    language = re.search(r"(?:^|\s)language-([\w+#.-]+)", code.attributes.get("class", ""))
    return f"{ticks}{language[1] if language else ''}\n{text}\n{ticks}"


def _rows(table: Element) -> Iterable[Element]:
    for child in table.children:
        if isinstance(child, Element):
            if child.tag == "tr":
                yield child
            elif child.tag in ("thead", "tbody", "tfoot"):
                yield from _rows(child)


def _has_head(table: Element) -> bool:
    return any(isinstance(child, Element) and child.tag == "thead" for child in table.children)


def _alignment(cell: Element) -> str:
    style = cell.attributes.get("style", "")
    match = re.search(r"text-align:\s*(left|right|center)", style)
    return {"left": ":---", "right": "---:", "center": ":---:"}[match[1]] if match else "---"


def _address(url: str) -> str:
    return re.sub(r"[<>\\\s]", lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode()), url)
