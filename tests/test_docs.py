"""The documents are a contract: what they name exists, and what exists is named.

Commands, options, variables of the environment, events and stages stand in docs/reference.md; packages have a
paragraph in docs/architecture.md, and the pictures of their floors are those of pyproject's contracts.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import click
import pytest

from memlab.options.setup import Setup, flag
from memlab.results.stages import STAGES
from steelyard.cli import main as steelyard
from steelyard.settings import PREFIX, Settings

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
MEMLAB = ROOT / "demos" / "memlab"
SITE = ROOT / "site" / "steelyard"
DOCUMENTS = sorted(
    [*DOCS.rglob("*.md"), *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md"))]
)


def section(heading: str, document: str = "reference.md") -> str:
    """Return the text of one section of a document in docs/."""
    text = (DOCS / document).read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    assert found, f"docs/{document} has no section {heading!r}"
    return found[1]


def first_cells(text: str) -> list[str]:
    """Return what stands in backticks in the first cell of each row of a section's tables."""
    rows = re.findall(r"^\| (`[^|]+) \|", text, re.M)
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row)]


def syntax_trees() -> Iterator[ast.AST]:
    """Yield the syntax tree of every file of the lab and the site."""
    for folder in (ROOT / "demos", SITE):
        for path in folder.rglob("*.py"):
            yield ast.parse(path.read_text(encoding="utf-8"))


# ---- what exists is named, and the other way round -------------------------------------------------------


def test_every_make_target_is_documented_and_every_documented_one_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))

    assert {f"make {name}" for name in targets} == set(first_cells(section("Make targets")))


def commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def test_every_command_is_documented_with_its_options():
    documented = {}
    for name, options in re.findall(
        r"^\| `(steelyard [^`]+)` \| ([^|]*)\|", section("The command steelyard"), re.M
    ):
        documented[re.sub(r" [A-Z\[].*", "", name)] = set(re.findall(r"`(--[a-z-]+)`", options))
    expected = {
        path: {
            option
            for parameter in command.params
            if isinstance(parameter, click.Option)
            for option in parameter.opts
            if option.startswith("--")
        }
        for path, command in commands(steelyard, "steelyard")
    }

    assert expected == documented


def runnable_modules() -> set[str]:
    """Return the modules of memlab that `python -m` runs."""
    files = {
        path
        for path in MEMLAB.rglob("*.py")
        if re.search(r'^if __name__ == "__main__":', path.read_text(encoding="utf-8"), re.M)
    }
    files |= {path.parent for path in MEMLAB.rglob("__main__.py")}
    return {".".join(path.relative_to(MEMLAB.parent).with_suffix("").parts) for path in files}


def test_every_module_that_can_be_run_is_documented_and_every_documented_one_can_be_run():
    documented = first_cells(section("The lab's modules"))

    assert {f"python -m {name}" for name in runnable_modules()} == set(documented)
    every = "\n".join(path.read_text(encoding="utf-8") for path in DOCUMENTS)
    assert set(re.findall(r"python -m (memlab[\w.]*\w)", every)) <= runnable_modules()


def test_every_option_of_a_module_is_documented():
    folders = ("plan", "validate", "sweeps")
    added = {
        name
        for folder in folders
        for path in (MEMLAB / folder).glob("*.py")
        for name in re.findall(r'\(\s*"(--[a-z-]+)",', path.read_text(encoding="utf-8"))
    }

    assert added == set(re.findall(r"`(--[a-z-]+)`", section("The lab's modules")))


def test_every_option_of_a_demo_is_documented():
    assert {flag(option.name) for option in fields(Setup)} == set(
        re.findall(r"\| `(--[a-z-]+)` \|", section("The demos' options").replace("|", "| |"))
    )


def test_every_setting_is_documented():
    names = {PREFIX + name.upper() for name in Settings.__dataclass_fields__}
    documented = {name for name in first_cells(section("Environment variables")) if name.startswith(PREFIX)}

    assert names == documented


def variables() -> set[str]:
    """Return the variables of the environment that code reads or sets by name."""
    found = set()
    for tree in syntax_trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                if re.fullmatch(r"(MEMLAB|HF|TOKENIZERS|TRANSFORMERS)_[A-Z_]+", node.value):
                    found.add(node.value)
            elif isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ":
                found |= strings(node.slice)
            elif isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if re.fullmatch(r"(os\.)?environ\.(get|setdefault|pop)|os\.getenv", called):
                    found |= strings(node.args[0])
                elif called == "environment":
                    found |= {keyword.arg for keyword in node.keywords if keyword.arg}
    return found


def strings(node: ast.AST) -> set[str]:
    return {node.value} if isinstance(node, ast.Constant) and isinstance(node.value, str) else set()


def test_every_variable_of_the_environment_is_documented_and_every_documented_one_is_in_the_code():
    text = section("Environment variables")
    documented = {name for name in re.findall(r"`([A-Z][A-Z_]+)`", text) if not name.startswith(PREFIX)}

    assert variables() | {"CI"} == documented


def test_every_stage_of_a_run_is_documented_as_people_are_told():
    rows = dict(re.findall(r"^\| `([a-z]+)` \| (.+) \|$", section("Events"), re.M))

    assert rows == STAGES


def test_every_event_is_documented():
    documented = set()
    for line in re.findall(r"^\| `(\{.+\})` \|", section("Events"), re.M):
        documented |= json.loads(line.replace("…}", "}").replace("…,", "0,")).keys()
    written = set()
    tree = ast.parse((MEMLAB / "running" / "events.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2].lstrip("_") == "tell":
            written |= {keyword.arg for keyword in node.keywords if keyword.arg}

    assert written - {"run"} <= documented
    assert documented - written <= {"run", "stage", "done", "of", "reserved_bytes"}, "handed on as they come"


# ---- the house -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def floors() -> ModuleType:
    spec = importlib.util.spec_from_file_location("floors", DOCS / "floors.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pictures_are_drawn_from_the_contracts_as_they_are(floors):
    for name, text in floors.pictures().items():
        assert (DOCS / name).read_text(encoding="utf-8") == text, "run: python docs/floors.py"


@pytest.mark.parametrize("container", ["memlab", "steelyard", "steelyard.web"])
def test_every_package_of_a_contract_has_a_paragraph(floors, container):
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    for floor in floors.layers(container):
        for name in floor:
            assert f"**`{container}.{name}`**" in text, (
                f"docs/architecture.md says nothing of {container}.{name}"
            )


# ---- what the documents name -----------------------------------------------------------------------------


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_path_in_a_document_exists(document):
    text = document.read_text(encoding="utf-8")
    for path in re.findall(r"`((?:demos|site|tests|docs|questions)/[^`\s]*)`", text):
        # A pattern, or a file that a recipe makes, or one that git does not keep.
        if re.search(r"[<*…]|rank\.|\.fr\.|^demos/out", path):
            continue
        assert (ROOT / path).exists(), f"{document.name} names {path}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_in_a_document_exists(document):
    for name in re.findall(r"`((?:memlab|steelyard)(?:\.\w+)+)`", document.read_text(encoding="utf-8")):
        module, rest = MEMLAB.parent if name.startswith("memlab") else SITE.parent, name.split(".")
        while rest and ((module / rest[0]).is_dir() or (module / f"{rest[0]}.py").is_file()):
            module /= rest.pop(0)
        file = module / "__init__.py" if module.is_dir() else module.with_suffix(".py")
        assert not rest or re.search(rf"\b{rest[0]}\b", file.read_text(encoding="utf-8")), (
            f"{document.name} names {name}"
        )


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_test_that_a_document_names_exists(document):
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    for name in re.findall(r"`(test_\w+)`", document.read_text(encoding="utf-8")):
        assert f"def {name}(" in tests, f"{document.name} names {name}"


def test_every_decision_has_its_four_parts_and_a_row():
    index = (DOCS / "decisions" / "README.md").read_text(encoding="utf-8")
    pages = [path for path in (DOCS / "decisions").glob("*.md") if path.name != "README.md"]

    assert {path.name for path in pages} == set(re.findall(r"\]\(([\w-]+\.md)\)", index))
    for path in pages:
        headings = re.findall(r"^## (.+)$", path.read_text(encoding="utf-8"), re.M)
        assert headings == ["Decided", "Why", "Considered", "What would change it"], path.name


def test_the_glossary_is_in_order_and_says_where_each_thing_lives():
    rows = re.findall(
        r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", (DOCS / "glossary.md").read_text(encoding="utf-8"), re.M
    )
    terms = [term for term, _meaning, _place in rows if term not in ("Term", "---")]

    assert terms == sorted(terms, key=str.casefold)
    assert all("`" in place for term, _meaning, place in rows if term in terms)


def test_the_changelog_has_the_version_of_the_project():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

    assert re.search(rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$", changelog, re.M)
