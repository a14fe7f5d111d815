"""The front matter of a question file: YAML to validated values, each problem at its line and column."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from steelyard.bank.model import Regrade, Scoring
from steelyard.bank.places import Places, YamlPath
from steelyard.bank.report import Report, did_you_mean, quoted
from steelyard.claims import Claim, Test

MAX_DEPTH = 16
"""Of lists and mappings in one another; PyYAML composes them by recursion. A claim's test needs six."""

M = TypeVar("M", bound=BaseModel)

_Word = Annotated[str, Field(min_length=1, max_length=100)]
_Words = Annotated[tuple[_Word, ...], Field(max_length=50)]

_FORBIDDEN = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What YAML 1.1 holds for no printable character."""


class FrontMatter(BaseModel):
    """What an author may set; all of it is optional."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    techniques: _Words = ()
    difficulty: Annotated[int, Field(ge=1, le=3, strict=True)] | None = None
    tags: _Words = ()
    type: Literal["single", "multiple"] | None = None
    scoring: Scoring | None = None
    shuffle: Annotated[bool, Field(strict=True)] = True
    sources: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=500)], ...], Field(max_length=50)
    ] = ()
    claims: Annotated[tuple[Claim, ...], Field(max_length=100)] = ()
    regrade: Regrade | None = None


class QuizMatter(BaseModel):
    """What a `_quiz.<lang>.md` may set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    order: Annotated[tuple[_Word, ...], Field(max_length=1000)] = ()
    exam: Literal["only", "optional"] | None = None
    minutes: Annotated[int, Field(ge=1, le=600, strict=True)] | None = None
    opens: datetime | None = None
    closes: datetime | None = None
    members: Literal["only"] | None = None

    @field_validator("opens", "closes", mode="before")
    @classmethod
    def _moment(cls, value: object, info: ValidationInfo) -> datetime:
        example = f"{info.field_name} has to be a moment with its zone, such as 2027-01-15T09:00+09:00"
        try:
            moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        except ValueError:
            moment = None
        if moment is None or moment.utcoffset() is None:
            raise ValueError(example)
        if not 2000 <= moment.year < 3000:
            raise ValueError(f"{info.field_name}: the year {moment.year} is not one from 2000 to 2999")
        return moment

    @field_validator("opens", "closes")
    @classmethod
    def _of_an_exam(cls, value: datetime, info: ValidationInfo) -> datetime:
        if info.data.get("exam", "only") != "only":
            raise ValueError(f"{info.field_name} goes only with exam: only")
        opens = info.data.get("opens")
        if info.field_name == "closes" and opens and value <= opens:
            raise ValueError("closes has to be after opens")
        return value

    @field_validator("members")
    @classmethod
    def _with_an_exam(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("exam", "only") != "only":
            raise ValueError("members goes only with exam: only")
        return value


@dataclass(frozen=True)
class Block:
    """The front matter of a file as it stands, and where the body begins."""

    source: str
    line: int
    """Of the first line of `source`, from 1."""
    body: int
    """How many lines come before the body."""


def split(lines: Sequence[str], report: Report) -> Block | None:
    """Find the front matter between two lines `---` at the top; None when there is none."""
    first = next((i for i, line in enumerate(lines) if line.strip()), len(lines))
    if first == len(lines) or lines[first].rstrip() != "---":
        return None
    for i in range(first + 1, len(lines)):
        if lines[i].rstrip() in ("---", "..."):
            return Block("\n".join(lines[first + 1 : i]), first + 2, i + 1)
    report(first + 1, 1, "E004", 'the front matter is not closed: end it with a line "---"')
    return Block("", first + 2, first + 1)


def read(block: Block, model: type[M], report: Report) -> tuple[M | None, Places]:
    """Validate the front matter; None when it has problems, which are reported all at once."""
    before = len(report.problems)
    reader = _Reader(block, report)
    values = reader.values()
    if values is None:
        return None, Places()
    places = reader.places()
    try:
        matter = model.model_validate(values)
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False):
            reader.explain(problem["type"], problem["loc"], problem["msg"], problem.get("ctx", {}), model)
        return None, places
    return (matter if len(report.problems) == before else None), places


class _Reader:
    def __init__(self, block: Block, report: Report) -> None:
        self.block = block
        self.report = report
        self.root: yaml.Node | None = None

    def at(self, mark: Any, code: str, message: str) -> None:
        """Report a problem at a mark of the YAML."""
        self.report(*self.place(mark), code, message)

    def place(self, mark: Any) -> tuple[int, int]:
        """Return line and column in the file of a mark of the YAML."""
        last = self.block.line + self.block.source.count("\n")
        return min(self.block.line + mark.line, last), mark.column + 1

    def values(self) -> dict[str, Any] | None:
        """Return the mapping that the YAML writes, or None after reporting why there is none."""
        source = self.block.source
        try:
            if mark := _too_deep(source):
                self.at(mark, "E004", f"the front matter is nested more than {MAX_DEPTH} deep")
                return None
            self.root = yaml.compose(source, Loader=yaml.CSafeLoader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            self.at(mark, "E004", f"the front matter is not YAML: {error.problem or error.context}")
            return None
        except yaml.YAMLError:
            forbidden = _FORBIDDEN.search(source)
            passed = source[: forbidden.start()] if forbidden else ""
            line, column = self.block.line + passed.count("\n"), len(passed) - passed.rfind("\n")
            message = "the front matter is not YAML: it holds a character that YAML forbids"
            self.report(line, column, "E004", message)
            return None
        if self.root is None:
            return {}
        if not isinstance(self.root, yaml.MappingNode):
            self.at(self.root.start_mark, "E004", 'the front matter has to be "key: value" lines')
            return None
        before = len(self.report.problems)
        values = self.plain(self.root, set())
        self.number(self.root, values)
        return values if len(self.report.problems) == before else None

    def plain(self, node: yaml.Node, seen: set[int]) -> Any:
        """Turn a node into Python values, the lines of claims and tests included."""
        if id(node) in seen:
            self.at(node.start_mark, "E004", "an alias (*name) is not allowed here: write the value out")
            return None
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            return [self.plain(item, seen) for item in node.value]
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, seen)
        return self.scalar(node)

    def mapping(self, node: yaml.MappingNode, seen: set[int]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if not isinstance(name, str) or name == "<<":
                self.at(key.start_mark, "E004", "a key has to be a word")
            elif name in values:
                self.at(key.start_mark, "E004", f"the key {quoted(name)} appears twice")
            else:
                values[name] = self.plain(value, seen)
        return values

    def number(self, root: yaml.MappingNode, values: dict[str, Any]) -> None:
        """Give every claim and every test of a claim the line on which it begins."""
        for claim, node in _items(root, values, "claims"):
            self.set_line(node, claim)
            for test, test_node in _items(node, claim, "tests"):
                self.set_line(test_node, test)

    def set_line(self, node: yaml.MappingNode, values: dict[str, Any]) -> None:
        for key, _ in node.value:
            if key.value == "line":
                self.at(key.start_mark, "E005", 'unknown key "line"')
        values["line"] = self.block.line + node.start_mark.line

    def places(self) -> Places:
        """Return where everything stands; to be called when `values` has found that there are no aliases."""
        values: dict[YamlPath, tuple[int, int]] = {}
        keys: dict[YamlPath, tuple[int, int]] = {}
        nodes: list[tuple[YamlPath, yaml.Node]] = [((), self.root)] if self.root else []
        for path, node in nodes:  # grows while it is gone through
            values[path] = self.place(node.start_mark)
            if isinstance(node, yaml.MappingNode):
                for key, value in node.value:
                    keys[*path, key.value] = self.place(key.start_mark)
                    nodes.append(((*path, key.value), value))
            elif isinstance(node, yaml.SequenceNode):
                ids: set[str] = set()
                for index, item in enumerate(node.value):
                    claim = _claim_id(item) if path == ("claims",) else None
                    step = index if claim is None or claim in ids else claim
                    ids.add(claim or "")
                    nodes.append(((*path, step), item))
        return Places(values, keys)

    def scalar(self, node: yaml.Node) -> Any:
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        try:
            match kind:
                case "null":
                    return None
                case "bool":
                    return node.value.lower() in ("true", "yes", "on")
                case "int":
                    return int(node.value.replace("_", ""), 10)
                case "float":
                    return float(node.value.replace("_", ""))
                case _:
                    return node.value
        except ValueError:
            return node.value

    def explain(
        self,
        kind: str,
        location: tuple[int | str, ...],
        message: str,
        context: dict[str, Any],
        model: type[BaseModel],
    ) -> None:
        """Report one problem of pydantic's at its place in the YAML, in words for an author."""
        node, key, path = self.find(location)
        name = path[-1] if path else ""
        if kind == "extra_forbidden":
            fields = _fields(location, model)
            known = did_you_mean(name, fields)
            self.at(key.start_mark, "E005", f"unknown key {quoted(name)}{known}")
        elif kind == "missing":
            self.at(node.start_mark, "E006", f"{_owner(location)} needs {quoted(location[-1])}")
        elif kind == "literal_error":
            allowed = re.findall(r"'([^']+)'", str(context.get("expected", "")))
            value = node.value if isinstance(node, yaml.ScalarNode) else ""
            hint = did_you_mean(value, allowed)
            self.at(node.start_mark, "E006", f"{name} has to be one of {', '.join(allowed)}{hint}")
        elif kind == "value_error":
            self.at(node.start_mark, "E006", str(context.get("error", message)))
        else:
            self.at(node.start_mark, "E006", f"{name or 'a value'}: {message[:1].lower()}{message[1:]}")

    def find(self, location: tuple[int | str, ...]) -> tuple[yaml.Node, yaml.Node, list[str]]:
        """Follow a path of pydantic's as far as the YAML goes; return value, key, and keys passed."""
        assert self.root is not None
        node = key = self.root
        path: list[str] = []
        for step in location:
            if isinstance(node, yaml.MappingNode):
                pair = next((pair for pair in node.value if pair[0].value == step), None)
                if pair is None:
                    continue
                key, node = pair
                path.append(str(step))
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
                key = node
        return node, key, path


def _items(
    node: yaml.MappingNode, values: dict[str, Any], name: str
) -> list[tuple[dict[str, Any], yaml.MappingNode]]:
    """Return the mappings listed under `name`, each with its node."""
    listed = next((value for key, value in node.value if key.value == name), None)
    if not isinstance(listed, yaml.SequenceNode) or not isinstance(values.get(name), list):
        return []
    pairs = zip(values[name], listed.value, strict=True)
    return [
        (value, item) for value, item in pairs if isinstance(item, yaml.MappingNode) and value is not None
    ]


def _claim_id(node: yaml.Node) -> str | None:
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next((value.value for key, value in pairs if key.value == "id" and type(value.value) is str), None)


def _too_deep(source: str) -> Any:
    """Return the mark of the first list or mapping that is nested too deeply, None without one.

    Reading the events one after the other takes no recursion. Raises yaml.YAMLError.
    """
    depth = 0
    for event in yaml.parse(source, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                return event.start_mark
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return None


def _owner(location: tuple[int | str, ...]) -> str:
    if "tests" in location:
        return "a test"
    return "a claim" if "claims" in location else "the front matter"


def _fields(location: tuple[int | str, ...], model: type[BaseModel]) -> list[str]:
    owner = Test if "tests" in location else Claim if "claims" in location[:-1] else model
    return [field for field in owner.model_fields if field != "line"]
