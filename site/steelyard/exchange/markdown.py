"""HTML to the Markdown of question files, which `steelyard.markup.markdown` reads back as the same HTML.

Converters from packages know CommonMark, but neither formulas between dollars, nor emphasis beside
Japanese brackets, nor that a line `B. …` begins a choice; so this is written for the one dialect. What
Markdown lacks and pages keep (`<sub>`, `<kbd>` …) stays HTML.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from steelyard.exchange.inline import CODE, KEPT, MARKS, Inline, code_span, code_text, formulas
from steelyard.exchange.tree import BLOCKS, Element, tree
from steelyard.markup.markdown import parser

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
    return "\n\n".join(writer.blocks(tree(html, note).children))


class _Writer:
    def __init__(self, note: Note, pictures: Mapping[str, str], heading: int, choice: bool) -> None:
        self.note = note
        self.line_writer = Inline(note, pictures)
        self.heading = heading
        self.choice = choice

    # ---- blocks -----------------------------------------------------------------------------------------

    def blocks(self, children: Iterable[Element | str]) -> list[str]:
        pieces: list[str] = []
        run: list[Element | str] = []
        before, other = "", False
        for child in self.unwrapped(children):
            if isinstance(child, str) or child.tag not in BLOCKS:
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
        if tag == "pre":
            return self.code_block(element)
        if tag == "hr":
            return ["***"]
        self.line_writer.tell_looks(element)
        if tag in ("ul", "ol"):
            return self.items(element, other)
        if tag == "blockquote":
            lines = "\n\n".join(self.blocks(element.children)).split("\n")
            return ["\n".join(f"> {line}".rstrip() for line in lines)] if lines != [""] else []
        if tag == "table":
            return self.table(element)
        if re.fullmatch("h[1-6]", tag):
            words = " ".join(_one_line(words) for words in self.inlines(element.children))
            words = _HEADING_LETTER.sub(lambda m: f"{m[1]}&#{ord(m[2])};", words, count=1)
            if words.endswith("#"):
                words = f"{words[:-1]}\\#"
            return [f"{'#' * max(self.heading, int(tag[1]))} {words}"] if words else []
        if tag == "dt":
            return self.paragraphs([Element("strong", {}, element.children)])
        return self.blocks(element.children)

    def code_block(self, element: Element) -> list[str]:
        """Return code on lines of its own, and behind it the pictures in it."""
        self.line_writer.tell_in_code(element)
        pictures = self.line_writer.pictures_in(element).strip()
        return [_fence(element), *([pictures] if pictures else [])]

    def paragraphs(self, run: Sequence[Element | str]) -> list[str]:
        """Return a run of inline content as a paragraph, cut at displayed formulas and lines of code."""
        pieces = []
        for piece in _cut(run):
            if isinstance(piece, str):
                pieces.append(self.display(piece))
            elif isinstance(piece, Element):
                pieces += self.code_block(piece)
            elif words := self.lines(self.line_writer.markdown(piece)):
                pieces.append(words)
        return pieces

    def display(self, latex: str) -> str:
        block = f"$$\n{latex}\n$$" if "\n" in latex else f"$${latex}$$"
        tokens = _MD.parse(block)
        if [token.type for token in tokens] == ["math_block"] and tokens[0].content.strip() == latex:
            return block
        self.note(f'the formula "{latex}" cannot stand between dollars: it remains as code')
        return code_span(latex.replace("\n", " "))

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
        items = list(_items(element))
        loose = any(
            isinstance(child, Element) and child.tag == "p" for item in items for child in item.children
        )
        self.tell_numbering(element, items)
        start = element.attributes.get("start", "1")
        number = int(start) if re.fullmatch(r"\d{1,8}", start) else 1
        pieces = []
        for index, item in enumerate(items):
            if element.tag == "ul":
                marker = "*" if other else "-"
            else:
                marker = f"{number + index}{')' if other else '.'}"
            self.line_writer.tell_looks(item)
            content = ("\n\n" if loose else "\n").join(self.blocks(item.children)).split("\n")
            indent = " " * (len(marker) + 1)
            lines = [
                f"{marker} {content[0]}".rstrip(),
                *(indent + line if line else "" for line in content[1:]),
            ]
            pieces.append("\n".join(lines))
        return [("\n\n" if loose else "\n").join(pieces)] if pieces else []

    def tell_numbering(self, element: Element, items: Sequence[Element]) -> None:
        """Tell how a list was numbered, where it is not by 1, 2, 3."""
        style = re.search(r"list-style(?:-type)?:\s*([a-z-]+)", element.attributes.get("style", ""))
        kind = element.attributes.get("type") or (style[1] if style else "")
        if element.tag == "ol" and kind not in ("", "1", "decimal"):
            self.note(f'the numbering "{kind[:20]}" of a list is left out: it becomes 1, 2, 3')
        if "reversed" in element.attributes or any("value" in item.attributes for item in items):
            self.note("a list has numbers of its own: it becomes 1, 2, 3")

    def table(self, table: Element) -> list[str]:
        words: list[Element | str] = [
            child for child in table.children if isinstance(child, Element) and child.tag == "caption"
        ]
        rows = []
        for row in _rows(table, words):
            cells = [child for child in row.children if isinstance(child, Element)]
            rows.append([cell for cell in cells if cell.tag in ("td", "th")])
            words += [c for c in row.children if isinstance(c, str) or c.tag not in ("td", "th")]
        rows = [row for row in rows if row]
        before = self.blocks(words)
        if not rows:
            return before
        if any(name in cell.attributes for row in rows for cell in row for name in ("colspan", "rowspan")):
            self.note("a table has cells that span several: look at it")
        if not any(cell.tag == "th" for cell in rows[0]) and len(rows) > 1 and not _has_head(table):
            rows.insert(0, [Element("th") for _ in rows[0]])
        width = max(len(row) for row in rows)
        aligned = [_alignment(cell) for cell in rows[0]] + ["---"] * (width - len(rows[0]))
        lines = [[self.cell(cell) for cell in row] for row in rows]
        lines[0] += [""] * (width - len(lines[0]))  # the others may be shorter
        return [*before, "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], aligned, *lines[1:]])]

    def cell(self, cell: Element) -> str:
        """Return a cell on one line; the pipes in it are escaped once, whatever they stand in."""
        self.line_writer.tell_looks(cell)
        if any(inner.tag in ("table", "ul", "ol", "pre", "blockquote") for inner in cell.all()):
            self.note("a table's cell holds a list, a table, a quote or lines of code: its lines remain")
        words = "<br>".join(_one_line(block) for block in self.inlines(cell.children))
        return words.replace("\\|", "|").replace("|", "\\|")

    def inlines(self, children: Iterable[Element | str]) -> list[str]:
        """Return blocks that have to become a line each."""
        pieces: list[str] = []
        run: list[Element | str] = []
        for child in self.unwrapped(children):
            if isinstance(child, str) or child.tag not in BLOCKS:
                run.append(child)
                continue
            pieces.append(self.line_writer.markdown(run))
            run = []
            if child.tag == "pre":
                lines = code_text(child, keep_newlines=True).strip("\n").split("\n")
                pieces += [code_span(line) for line in lines] + [self.line_writer.pictures_in(child)]
            else:
                pieces += self.inlines(child.children)
        return [words for words in [*pieces, self.line_writer.markdown(run)] if words.strip()]

    def unwrapped(self, children: Iterable[Element | str]) -> Iterable[Element | str]:
        """Look through inline elements that hold blocks, as careless HTML has; they go into the blocks."""
        for child in children:
            if isinstance(child, str) or child.tag in BLOCKS or not child.holds_block:
                yield child
            elif child.tag in CODE:
                yield Element("pre", child.attributes, child.children)
            elif child.tag in MARKS or child.tag in KEPT or child.tag == "a":
                yield from self.unwrapped(_pushed(child, child.children))
            else:
                self.line_writer.tell_looks(child)
                yield from self.unwrapped(child.children)


# ---- small pieces ------------------------------------------------------------------------------------------


def _pushed(mark: Element, children: Iterable[Element | str]) -> list[Element | str]:
    pieces: list[Element | str] = []
    for child in children:
        if isinstance(child, str):
            pieces.append(Element(mark.tag, mark.attributes, [child]) if child.strip() else child)
        elif child.tag in ("pre", "hr"):
            pieces.append(child)
        elif child.tag in BLOCKS or child.holds_block:
            pieces.append(Element(child.tag, child.attributes, _pushed(mark, child.children)))
        else:
            pieces.append(Element(mark.tag, mark.attributes, [child]))
    return pieces


def _cut(run: Sequence[Element | str]) -> Iterable[str | Element | list[Element | str]]:
    """Cut a run at its displayed formulas and lines of code: inline content, and the TeX or code between."""
    piece: list[Element | str] = []
    for child in run:
        if not isinstance(child, str):
            if child.tag in CODE and any(inner.tag == "br" for inner in child.all()):
                yield piece
                yield child
                piece = []
            else:
                piece.append(child)
            continue
        at = 0
        for begin, end, latex, displayed in formulas(child):
            if displayed:
                yield [*piece, child[at:begin]]
                yield latex.strip()
                piece, at = [], end
        piece.append(child[at:])
    yield piece


def _items(element: Element) -> Iterable[Element]:
    """Return the items of a list; words that stand in none of them are one of their own."""
    run: list[Element | str] = []
    for child in element.children:
        if isinstance(child, Element) and child.tag not in ("br", "wbr") and not run:
            yield child if child.tag == "li" else Element("li", {}, [child])
        elif isinstance(child, Element) and child.tag == "li":
            yield Element("li", {}, run)
            yield child
            run = []
        elif run or (isinstance(child, str) and child.strip()):
            run.append(child)
    if run:
        yield Element("li", {}, run)


def _edged(words: str) -> str:
    """Return a paragraph as Markdown keeps it: no white space at its edges but what is written as a number.

    A line break at the end shows nothing and goes; one at the beginning can only be written as HTML.
    """
    end = len(words)
    while end and words[end - 1] in " \n":
        end -= 2 if words[end - 2 : end] == "\\\n" else 1
    words = words[:end]
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
    text = code_text(element, keep_newlines=element.tag == "pre")
    if element.children and isinstance(element.children[0], str):
        text = text.removeprefix("\n")  # as browsers do
    text = text.removesuffix("\n")
    ticks = "`" * max(3, max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    language = re.search(r"(?:^|\s)language-([\w+#.-]+)", code.attributes.get("class", ""))
    return f"{ticks}{language[1] if language else ''}\n{text}\n{ticks}"


def _rows(table: Element, words: list[Element | str]) -> Iterable[Element]:
    """Return the rows of a table; words that stand in none go to `words`."""
    for child in table.children:
        if isinstance(child, Element) and child.tag == "tr":
            yield child
        elif isinstance(child, Element) and child.tag in ("thead", "tbody", "tfoot"):
            yield from _rows(child, words)
        elif isinstance(child, Element) and child.tag in ("td", "th"):
            yield Element("tr", {}, [child])
        elif isinstance(child, str) or child.tag != "caption":
            words.append(child)


def _has_head(table: Element) -> bool:
    return any(isinstance(child, Element) and child.tag == "thead" for child in table.children)


def _alignment(cell: Element) -> str:
    style = cell.attributes.get("style", "")
    match = re.search(r"text-align:\s*(left|right|center)", style)
    return {"left": ":---", "right": "---:", "center": ":---:"}[match[1]] if match else "---"
