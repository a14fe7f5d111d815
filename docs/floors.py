"""Draw the floors of the lab and of the site from pyproject's import contracts. Run it: python docs/floors.py

The contracts say which packages there are and what stands on what; here stand only the few words below each
name. A package without words is an error, and so are words without a package.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

DOCS = Path(__file__).resolve().parent

LAB = {
    "validate": "predictions beside measurements, on drawn configurations",
    "sweeps": "many runs in one go, each once; what a run costs",
    "launch": "what a script calls",
    "running": "a fresh process for each run; progress, events, ranks",
    "plan": "what fits on a GPU; the grid",
    "predicting": "the same step on tensors without memory; CUDA's allocator",
    "measuring": "the ledger, the training step, the record of a run",
    "training": "the model, the text, kernels and parts that techniques share",
    "options": "Demo, Setup and the command line",
    "publishing": "tables, pictures, the generated parts of READMEs",
    "results": "records, and all that is reckoned from them: comparing, fitting, formulas, accuracy, costs",
}
SITE = {
    "cli": "the command steelyard",
    "web": "",  # its own floors are drawn in its place
    "exam_lifecycle": "when an exam ends",
    "checks": "rules beyond one file",
    "store": "what learners did: appended, never rewritten",
    "exchange": "GIFT, Moodle XML, QTI",
    "grading": "scores",
    "progress": "weeks, calibration",
    "review": "when to ask again (FSRS)",
    "statistics": "item analysis",
    "bank": "Markdown files to questions, each problem at its line",
    "evidence": "records and claims to verdicts: pure functions",
    "claims": "claims, tests",
    "problems": "of a file",
    "settings": "by variables",
    "live": "folders, kept current",
    "markup": "Markdown, HTML, TeX",
    "passwords": "argon2id",
    "arithmetic": "in a claim",
    "remember": "caches",
}
WEB = {
    "serve": "the local server",
    "start": "the application, warmed up",
    "lab": "demos from a page, on this machine only",
    "home": "the start page",
    "instructor": "classes, statistics, results",
    "planner": "will it fit?",
    "quiz": "questions, attempts, exams, review",
    "learner": "progress, privacy, devices, classes",
    "evidence": "techniques, runs, comparisons, charts",
    "filters": "formats that every template may use",
    "text": "Markdown, numbers and vocabulary to words and HTML",
    "app": "state, database, identity, security, languages, errors",
}

LIGHT = {"page": "#ffffff", "box": "#f2f5f9", "web": "#fbf7ee", "line": "#8494a8", "ink": "#1d2733"}
DARK = {"page": "#0d1117", "box": "#1b2430", "web": "#26221a", "line": "#5d6d82", "ink": "#e4eaf2"}

WIDTH, MARGIN, GAP, BAND = 960, 20, 8, 150
"""Of the picture, around it, between boxes, and of the column at the right; in pixels."""


# ---- the contracts ---------------------------------------------------------------------------------------


def layers(container: str) -> list[list[str]]:
    """Return the packages of `memlab`, `steelyard` or `steelyard.web`, floor by floor from the top."""
    text = (DOCS.parent / "pyproject.toml").read_text(encoding="utf-8")
    for contract in tomllib.loads(text)["tool"]["importlinter"]["contracts"]:
        if contract["type"] != "layers":
            continue
        floors = [[name.strip() for name in layer.split("|")] for layer in contract["layers"]]
        if contract.get("containers") == [container]:
            return floors
        if "containers" not in contract and floors[0][0].startswith(f"{container}."):
            return [[name.removeprefix(f"{container}.") for name in floor] for floor in floors]
    raise LookupError(f"pyproject.toml has no layers contract for {container}")


def without_torch() -> set[str]:
    """Return the packages of the lab that load no torch."""
    text = (DOCS.parent / "pyproject.toml").read_text(encoding="utf-8")
    for contract in tomllib.loads(text)["tool"]["importlinter"]["contracts"]:
        if contract["type"] != "forbidden" or "torch" not in contract["forbidden_modules"]:
            continue
        if "memlab.results" in contract["source_modules"]:
            return {name.removeprefix("memlab.") for name in contract["source_modules"]}
    raise LookupError("pyproject.toml has no contract that keeps torch out of memlab.results")


# ---- drawing ---------------------------------------------------------------------------------------------


def _text(x: float, y: float, words: str, size: int, *, mono: bool = False, bold: bool = False) -> str:
    family = "ui-monospace, Menlo, Consolas, monospace" if mono else "system-ui, sans-serif"
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" font-family="{family}" font-size="{size}"{weight} '
        f'fill="{{ink}}">{escape(words)}</text>'
    )


def _wrapped(words: str, width: float) -> list[str]:
    """Break words into lines of `width` pixels, by the mean width of a letter of 11 pixels."""
    lines = [""]
    for word in words.split():
        longer = f"{lines[-1]} {word}".strip()
        if len(longer) * 5.8 > width and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = longer
    return [line for line in lines if line]


def _floor(
    names: Sequence[str], words: dict[str, str], x: float, y: float, width: float, fill: str = "box"
) -> tuple[list[str], float]:
    """Return the boxes of one floor side by side, and how high they are."""
    each = (width - GAP * (len(names) - 1)) / len(names)
    size = 13 if len(names) < 7 else 11
    broken = [_wrapped(words[name], each - 16) for name in names]
    height = 30 + 14 * max(len(lines) for lines in broken)
    drawn = []
    for number, (name, lines) in enumerate(zip(names, broken, strict=True)):
        left = x + number * (each + GAP)
        drawn.append(
            f'<rect x="{left:.0f}" y="{y:.0f}" width="{each:.0f}" height="{height}" rx="5" '
            f'fill="{{{fill}}}" stroke="{{line}}"/>'
        )
        drawn.append(_text(left + 8, y + 19, name, size, mono=True, bold=True))
        drawn += [_text(left + 8, y + 35 + 14 * row, line, 11) for row, line in enumerate(lines)]
    return drawn, height


def _beside(y: float, height: float, words: str) -> Iterator[str]:
    """Yield a note at the right of a floor."""
    lines = _wrapped(words, BAND - 20)
    top = y + height / 2 - 7 * len(lines) + 11
    for row, line in enumerate(lines):
        yield _text(WIDTH - BAND + 4, top + 14 * row, line, 11)


def lab() -> tuple[list[str], float]:
    """Return what the lab's picture is made of, and its height."""
    width = WIDTH - 2 * MARGIN - BAND
    drawn, y = [], float(MARGIN)
    scripts = {"demos/*.py": "one script, one technique: build(lab), and a Demo that names it"}
    boxes, height = _floor(list(scripts), scripts, MARGIN, y, width)
    drawn += [*boxes, *_beside(y, height, "nobody imports a script")]
    y += height + GAP
    for floor in layers("memlab"):
        boxes, height = _floor(floor, LAB, MARGIN, y, width)
        light = set(floor) <= without_torch()
        note = "no torch" if light else "torch, from here up" if "training" in floor else ""
        if floor == ["results"]:
            note = "no torch; all that the site may import of the lab"
        drawn += [*boxes, *_beside(y, height, note)]
        y += height + GAP
    data = {"demos/results": "records, predictions, validations and costs: the data that is published"}
    boxes, height = _floor(list(data), data, MARGIN, y, width)
    return [*drawn, *boxes], y + height + MARGIN


def site() -> tuple[list[str], float]:
    """Return what the site's picture is made of, and its height; the floors of `web` stand within it."""
    width = WIDTH - 2 * MARGIN - BAND
    drawn, y = [], float(MARGIN)
    for floor in layers("steelyard"):
        if floor == ["web"]:
            inside, top = [], y + 28
            for names in layers("steelyard.web"):
                boxes, height = _floor(names, WEB, MARGIN + 12, top, width - 24)
                inside += boxes
                top += height + GAP
            height = top - y + 4
            drawn.append(
                f'<rect x="{MARGIN}" y="{y:.0f}" width="{width}" height="{height:.0f}" rx="5" '
                f'fill="{{web}}" stroke="{{line}}"/>'
            )
            drawn += [_text(MARGIN + 8, y + 19, "web", 13, mono=True, bold=True), *inside]
            drawn += _beside(y, height, "Flask; below this floor nobody knows it")
        else:
            boxes, height = _floor(floor, SITE, MARGIN, y, width)
            drawn += [*boxes, *_beside(y, height, "click" if floor == ["cli"] else "")]
        y += height + GAP
    data = {"memlab.results": "of the lab", "questions": "Markdown files", "demos/results": "records"}
    boxes, height = _floor(list(data), data, MARGIN, y, width)
    return [*drawn, *boxes, *_beside(y, height, "never torch")], y + height + MARGIN


def pictures() -> dict[str, str]:
    """Return every picture's text by the name of its file. Raises KeyError for a package without words."""
    for container, words in (("memlab", LAB), ("steelyard", SITE), ("steelyard.web", WEB)):
        if gone := words.keys() - {name for floor in layers(container) for name in floor}:
            raise KeyError(f"docs/floors.py has words for {', '.join(gone)}, which {container} lacks")
    texts = {}
    for name, (drawn, height) in (("lab", lab()), ("site", site())):
        for suffix, colours in (("", LIGHT), ("-dark", DARK)):
            inside = "\n".join(drawn)
            for colour, code in colours.items():
                inside = inside.replace(f"{{{colour}}}", code)
            head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}"'
            page = f'<rect width="{WIDTH}" height="{height:.0f}" fill="{colours["page"]}"/>'
            texts[f"floors-{name}{suffix}.svg"] = f'{head} width="{WIDTH}">\n{page}\n{inside}\n</svg>\n'
    return texts


if __name__ == "__main__":
    for file, text in pictures().items():
        (DOCS / file).write_text(text, encoding="utf-8")
