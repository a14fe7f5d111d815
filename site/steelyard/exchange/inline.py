"""What stands in a line of HTML to Markdown: words, emphasis, code, formulas, links, pictures.

What is written is read back by `steelyard.markup.markdown` as the same; what no Markdown holds is told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from steelyard.exchange.tree import BLOCKS, Element, lost_looks, shortened
from steelyard.markup.html import SCHEME
from steelyard.markup.markdown import parser

MARKS = {
    "strong": "**",
    "b": "**",
    "em": "*",
    "i": "*",
    "cite": "*",
    "dfn": "*",
    "s": "~~",
    "strike": "~~",
}
KEPT = {"abbr", "del", "ins", "kbd", "mark", "rp", "rt", "ruby", "small", "sub", "sup", "u", "var"}
CODE = {"code", "tt", "samp"}

_PLAIN = {"**": "strong", "*": "em", "~~": "s"}
_EMBEDDED = {"applet", "audio", "canvas", "embed", "iframe", "object", "svg", "video"}
_FORM = {"button", "datalist", "input", "select", "textarea"}
_SPECIAL = re.compile(r"[\\`*\[\]<$~|]|&(?=[#A-Za-z])|(?<![^\W_])_|_(?![^\W_])")
_SPACE = re.compile(r"[ \t\n\r\f]+")
_OPENS = re.compile(r"\\\(|\\\[|\$\$")
_CLOSES = {"\\(": "\\)", "\\[": "\\]", "$$": "$$"}

_MD = parser()

Note = Callable[[str], None]


class Inline:
    """Turns inline content into Markdown. `pictures`: address in the HTML → address in the file."""

    def __init__(self, note: Note, pictures: Mapping[str, str]) -> None:
        self.note = note
        self.pictures = pictures

    def markdown(self, children: Iterable[Element | str], marked: bool = False) -> str:
        """Return inline content as Markdown; within emphasis it is `marked`."""
        out: list[str] = []
        last = ""
        siblings = list(children)
        for child, following in zip(siblings, [*siblings, ""][1:], strict=True):
            if isinstance(child, str):
                self.text(child, out, last)
            elif child.tag in MARKS:
                after = following if isinstance(following, str) else following.text()
                out.append(self.emphasis(child, last, after[:1], marked))
            else:
                out.append(self.element(child, marked))
            last = (last + "".join(out[-2:]))[-2:]
        return "".join(out)

    def text(self, text: str, out: list[str], last: str) -> None:
        """Append text in which formulas may stand to `out`, of which `last` is the end."""
        at = 0
        first = True
        for begin, end, latex, _ in formulas(text):
            words = self.words(text[at:begin], last)
            made = self.formula(latex)
            if words[-1:].isdigit():  # a digit beside a dollar would unmake the formula
                words = f"{words[:-1]}&#{ord(words[-1])};"
            elif (not words and first and last[-1:].isdigit()) or (last + words).endswith("$"):
                made = f"<span></span>{made}"
            out += [words, made]
            last = (last + words + made)[-2:]
            at, first = end, False
        out.append(self.words(text[at:], last))

    def words(self, text: str, before: str) -> str:
        words = re.sub("!$", r"\\!", escaped(text))  # a link or a picture may follow
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
        return code_span(latex)

    def element(self, element: Element, marked: bool) -> str:
        tag = element.tag
        if tag == "br":
            return "\\\n"
        if tag in CODE:
            return self.code(element)
        if tag == "img":
            return self.picture(element)
        self.tell_looks(element)
        if tag == "math":
            return self.mathml(element)
        if tag in _EMBEDDED:
            return self.embedded(element)
        if tag == "a":
            return self.link(element, marked)
        if tag in _FORM:
            value = element.attributes.get("value", "")
            shown = f' ("{shortened(value)}")' if value else ""
            self.note(f"a form field, <{tag}>{shown}, cannot be filled in here: its words remain")
        elif source := element.attributes.get("src") or (tag == "area" and element.attributes.get("href")):
            self.note(f'the <{tag}> "{shortened(source)}" is left out')
        inner = self.markdown(element.children, marked)
        if tag == "q":
            return f"“{inner}”"
        return f"<{tag}>{inner}</{tag}>" if tag in KEPT and inner else inner

    def tell_looks(self, element: Element) -> None:
        """Tell what of an element's looks is lost, and of what only shows under the pointer."""
        words = " ".join(element.text().split())
        if words:
            for name, value in lost_looks(element):
                self.note(f'the {name} of "{shortened(words)}" is left out: {value}')
        title = " ".join(element.attributes.get("title", "").split())
        if title not in ("", words, element.attributes.get("alt")):
            self.note(f'the tooltip "{shortened(title)}" is left out')

    def emphasis(self, element: Element, before: str, after: str, marked: bool) -> str:
        """Return emphasis in stars where these are read as such, else as the HTML element."""
        self.tell_looks(element)
        mark = MARKS[element.tag]
        name = _PLAIN[mark]
        inner = self.markdown(element.children, marked=True)
        words = inner.strip(" ")
        if not words:
            return inner
        left, right = inner[: len(inner) - len(inner.lstrip(" "))], inner[len(inner.rstrip(" ")) :]
        close = [left[-1:] or _neighbour(before[-1:]), right[:1] or _neighbour(after)]
        beside = before.endswith(("*", "~")) and before[-2:-1] != "\\"
        if not (marked or beside):
            shown = _MD.renderInline(f"{close[0]}{mark}{words}{mark}{close[1]}")
            if shown == f"{close[0]}<{name}>{_MD.renderInline(words)}</{name}>{close[1]}":
                return f"{left}{mark}{words}{mark}{right}"
        return f"{left}<{name}>{words}</{name}>{right}"

    def code(self, element: Element) -> str:
        """Return code within a line; its line breaks stand between pieces of code."""
        self.tell_in_code(element)
        lines = code_text(element, keep_newlines=False).split("\n")
        return "\\\n".join(code_span(line) for line in lines) + self.pictures_in(element)

    def tell_in_code(self, element: Element) -> None:
        """Tell what cannot stand in code; syntax highlighting is no loss."""
        for inner in element.all():
            if inner.tag in KEPT or inner.tag in MARKS:
                self.note(f"no <{inner.tag}> can stand in code: of it the words remain")
            elif inner.tag == "a" and inner.attributes.get("href"):
                self.note(f'no link can stand in code: "{shortened(inner.attributes["href"])}" is left out')
            elif inner.tag in _EMBEDDED or inner.tag in _FORM:
                self.note(f"no <{inner.tag}> can stand in code: it is left out")

    def pictures_in(self, element: Element) -> str:
        """Return the pictures within code, which stand behind it."""
        return "".join(f" {self.picture(inner)}" for inner in element.all() if inner.tag == "img")

    def mathml(self, element: Element) -> str:
        for inner in element.all():
            if inner.tag == "annotation" and "tex" in inner.attributes.get("encoding", ""):
                return self.formula(inner.text())
        words = " ".join(_visible_math(element).split())
        if words:
            self.note(f'of a formula in MathML the characters remain, "{shortened(words)}": write it as TeX')
        return escaped(words)

    def embedded(self, element: Element) -> str:
        """Return a link to what a page of questions does not show, or tell that it is left out."""
        inside = [inner for inner in element.all() if inner.tag in ("source", "embed")]
        named = [each.attributes.get(name, "") for each in (element, *inside) for name in ("src", "data")]
        url = absolute(next((name for name in named if name), "").strip())
        words = " ".join(element.text().split())
        behind = "".join(f" {self.picture(inner)}" for inner in element.all() if inner.tag == "img")
        if url in self.pictures:
            return f"![{escaped(words)}](<{address(self.pictures[url])}>){behind}"
        if re.match("https?:", url, re.IGNORECASE):
            self.note(f'the <{element.tag}> of "{shortened(url)}" becomes a link')
            return f"[{escaped(words or url)}](<{address(url)}>){behind}"
        what = f' "{shortened(url)}"' if url else ""
        told = f'; its words are "{shortened(words)}"' if words else ""
        self.note(f"the <{element.tag}>{what} is left out{told}")
        return escaped(words if element.tag != "svg" else "") + behind

    def link(self, element: Element, marked: bool) -> str:
        inner = self.markdown(element.children, marked)
        url = absolute(element.attributes.get("href", "").strip())
        if not inner.strip():
            if url:
                self.note(f'a link without words, to "{shortened(url)}", is left out')
            return inner
        if not re.match(r"(https?:|mailto:)", url, re.IGNORECASE):
            if url:
                self.note(f'the link "{url}" leads nowhere from here: its words remain')
            return inner
        return f"[{inner}](<{address(url)}>)"

    def picture(self, element: Element) -> str:
        self.tell_looks(element)
        url = absolute(element.attributes.get("src", "").strip())
        words = escaped(_SPACE.sub(" ", element.attributes.get("alt", "")))
        if url in self.pictures:
            return f"![{words}](<{address(self.pictures[url])}>)"
        if re.match("https?:", url, re.IGNORECASE):
            self.note(f'the picture "{url}" lies on another site: it becomes a link')
            return f"[{words or escaped(url)}](<{address(url)}>)"
        self.note(f'the picture "{shortened(url)}" is not in the file: its description remains')
        return f"*[{words}]*" if words and SCHEME.match(url) is None else words


# ---- small pieces ------------------------------------------------------------------------------------------


def formulas(text: str) -> Iterator[tuple[int, int, str, bool]]:
    r"""Yield the formulas of a text: begin, end, TeX, and whether it is displayed (`\[…\]`, `$$…$$`)."""
    missing: set[str] = set()
    at = 0
    while match := _OPENS.search(text, at):
        at = match.end()
        opening = match[0]
        if opening in missing:
            continue
        end = text.find(_CLOSES[opening], at + 1)
        if end < 0:
            missing.add(opening)  # nor does a later one end: a text is searched once
            continue
        yield match.start(), end + 2, text[at:end], opening != "\\("
        at = end + 2


def code_text(element: Element, keep_newlines: bool) -> str:
    """Return code as its lines. A `<br>` ends a line, and so does an element that stands on its own lines.

    A line end of the HTML is one in `<pre>`, and elsewhere a space.
    """
    pieces: list[str] = []
    _code(element, pieces, keep_newlines)
    return "".join(pieces)


def _code(element: Element, pieces: list[str], keep_newlines: bool) -> None:
    for child in element.children:
        if isinstance(child, str):
            if child:
                pieces.append(child if keep_newlines else child.replace("\n", " "))
        elif child.tag == "br":
            pieces.append("\n")
        elif child.tag in BLOCKS:
            _end_line(pieces)
            _code(child, pieces, keep_newlines)
            _end_line(pieces)
        elif child.tag not in _EMBEDDED:
            _code(child, pieces, keep_newlines)


def _end_line(pieces: list[str]) -> None:
    if pieces and not pieces[-1].endswith("\n"):
        pieces.append("\n")


def code_span(text: str) -> str:
    """Return one line of code between backticks."""
    if not text:
        return ""
    ticks = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    ends = text[0] == "`" or text[-1] == "`" or (text[0] == text[-1] == " " and bool(text.strip()))
    return f"{ticks} {text} {ticks}" if ends else f"{ticks}{text}{ticks}"


def _visible_math(element: Element) -> str:
    return "".join(
        child if isinstance(child, str) else _visible_math(child)
        for child in element.children
        if isinstance(child, str) or not child.tag.startswith("annotation")
    )


def _neighbour(char: str) -> str:
    """Return a character beside emphasis, or for a special one a plain mark that counts alike."""
    return "!" if char in '\\`*_[]<>&$~|"' and char else char


def escaped(text: str) -> str:
    """Return text of which nothing means something in Markdown, its white space joined."""
    text = _SPACE.sub(" ", text)
    return _SPECIAL.sub(lambda match: f"\\{match[0]}", text)


def address(url: str) -> str:
    """Return an address as it stands between `<` and `>`."""
    return re.sub(r"[<>\\\s]", lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode()), url)


def absolute(url: str) -> str:
    """Return an address that leaves its scheme to the page with one."""
    return f"https:{url}" if url.startswith("//") else url
