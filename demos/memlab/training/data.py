"""The training data: by default the functions of Python's standard library, which need no download.

The model learns to continue `def name(arguments):` with the first line of the function's docstring. Whole
modules are held out for evaluation. Sequences are packed to exactly `seq` tokens, so no token is padding.
"""

from __future__ import annotations

import ast
import hashlib
import json
import random
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple, dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any

import torch

from memlab.options.setup import DOCSTRINGS, UsageError
from memlab.training import cache

IGNORED = -100
"""The label of a token that the loss leaves out (the prompts' tokens)."""

_NOT_LIBRARY = {"site-packages", "dist-packages", "test", "tests", "idle_test", "idlelib", "lib2to3"}


@dataclass(frozen=True)
class Pair:
    """One example. Only the answer's tokens have labels."""

    prompt: str
    answer: str
    group: str
    """What is held out as a whole: the standard library's module, or the row of a data set."""


@dataclass(frozen=True)
class Dataset:
    """All pairs, split by group into training and held-out ones."""

    train: tuple[Pair, ...]
    held_out: tuple[Pair, ...]
    sha256: str
    """Of all pairs in their order, as JSON; the record's `data_sha256`."""


def split(pairs: Iterable[Pair]) -> Dataset:
    """Hold out about a tenth of the groups, always the same. Raises ValueError when a side stays empty."""
    pairs = tuple(pairs)
    train = tuple(pair for pair in pairs if not _is_held_out(pair.group))
    held_out = tuple(pair for pair in pairs if _is_held_out(pair.group))
    if not train or not held_out:
        raise ValueError("too few groups to hold some out")
    content = json.dumps([astuple(pair) for pair in pairs], ensure_ascii=False)
    return Dataset(train, held_out, hashlib.sha256(content.encode()).hexdigest())


def _is_held_out(group: str) -> bool:
    return hashlib.sha256(group.encode()).digest()[0] % 10 == 0


def load(name: str) -> Dataset:
    """Return the data that `--dataset` names. Raises UsageError if it cannot be loaded or used."""
    return split(docstrings() if name == DOCSTRINGS else _from_hub(name))


# ---- the standard library --------------------------------------------------------------------------------


def docstrings(library: Path | None = None) -> list[Pair]:
    """Return a pair for each function with a docstring in the standard library, in the order of paths.

    Parsing the running interpreter's library takes seconds, so it is cached; a given `library` is not.
    """
    if library is not None:
        return list(_collect(library))
    library = Path(sysconfig.get_paths()["stdlib"])
    # Updating the interpreter changes the folder's modification time, and so the cache key.
    stamp = hashlib.sha256(f"{library} {sys.version} {library.stat().st_mtime_ns}".encode()).hexdigest()

    def fill(folder: Path) -> None:
        pairs = [astuple(pair) for pair in _collect(library)]
        (folder / "pairs.json").write_text(json.dumps(pairs), encoding="utf-8")

    folder = cache.folder(f"docstrings-{stamp[:12]}", fill)
    return [Pair(*pair) for pair in json.loads((folder / "pairs.json").read_text(encoding="utf-8"))]


def _collect(library: Path) -> Iterator[Pair]:
    seen: set[tuple[str, str]] = set()
    for path in sorted(library.rglob("*.py")):
        parts = path.relative_to(library).parts
        if _NOT_LIBRARY.intersection(parts):
            continue
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                line = (ast.get_docstring(node) or "").strip().split("\n")[0].strip()
                prompt = f'def {node.name}({ast.unparse(node.args)}):\n    """'
                if line and (prompt, line) not in seen:
                    seen.add((prompt, line))
                    yield Pair(prompt, line + '"""', parts[0].removesuffix(".py"))


# ---- the hub ---------------------------------------------------------------------------------------------


def _from_hub(name: str) -> list[Pair]:
    import datasets

    try:
        rows = datasets.load_dataset(name, split="train")
    except Exception as error:  # `datasets` raises its own types, requests' and fsspec's
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise UsageError(
            f"--dataset {name}: cannot be loaded ({reason}); check the name or the network"
        ) from None
    return pairs_of_rows(name, rows)


def pairs_of_rows(name: str, rows: Iterable[dict[str, Any]]) -> list[Pair]:
    """Return a pair for each row, which is a group of its own. Raises UsageError on unknown columns."""
    pairs = []
    for index, row in enumerate(rows):
        for prompt, answer in (("instruction", "output"), ("prompt", "completion"), ("question", "answer")):
            if isinstance(row.get(prompt), str) and isinstance(row.get(answer), str):
                pairs.append(Pair(row[prompt] + "\n", row[answer], str(index)))
                break
        else:
            if not isinstance(row.get("text"), str):
                raise UsageError(
                    f"--dataset {name}: has the columns {', '.join(row)}; needed are text, or instruction "
                    "and output, or prompt and completion, or question and answer"
                )
            pairs.append(Pair("", row["text"], str(index)))
    return pairs


# ---- batches ---------------------------------------------------------------------------------------------

Tokenize = Callable[[str], list[int]]
"""From a text to its token ids."""
Batch = dict[str, torch.Tensor]
"""`input_ids` and `labels`, both [batch, seq] of int64."""
PackedSequence = tuple[list[int], list[int]]
"""Token ids and labels, `seq` of each."""


def training_batches(
    text: Dataset, tokenize: Tokenize, end: int, *, batch: int, seq: int, n: int, seed: int
) -> list[Batch]:
    """Return `n` batches of batch × seq tokens. `end` is the token id that ends an answer.

    Equal arguments give equal batches, on every device and for every technique.
    """
    sequences = _pack(_shuffled_forever(text.train, seed), tokenize, end, seq)
    return [_stack(list(islice(sequences, batch))) for _ in range(n)]


def held_out_batches(
    text: Dataset, tokenize: Tokenize, end: int, *, batch: int, seq: int, n: int
) -> list[Batch]:
    """Return `n` held-out sequences in batches of at most batch × seq, equal for all seeds and techniques."""
    sequences = list(islice(_pack(_shuffled_forever(text.held_out, 0), tokenize, end, seq), n))
    return [_stack(sequences[i : i + batch]) for i in range(0, len(sequences), batch)]


def _shuffled_forever(pairs: tuple[Pair, ...], seed: int) -> Iterator[Pair]:
    for epoch in count():
        yield from random.Random(f"{seed} {epoch}").sample(pairs, len(pairs))


def _pack(pairs: Iterator[Pair], tokenize: Tokenize, end: int, seq: int) -> Iterator[PackedSequence]:
    """Yield sequences of exactly `seq` tokens with labels, cut from the endless stream of pairs.

    The first label of a sequence is never predicted; every sequence has at least one other.
    """
    ids: list[int] = []
    labels: list[int] = []
    for pair in pairs:
        prompt, answer = tokenize(pair.prompt), [*tokenize(pair.answer), end]
        ids += prompt + answer
        labels += [IGNORED] * len(prompt) + answer
        while len(ids) >= seq:
            # A sequence cut out of one long prompt has no labels, and the mean of no losses is NaN.
            if any(label != IGNORED for label in labels[1:seq]):
                yield ids[:seq], labels[:seq]
            ids, labels = ids[seq:], labels[seq:]
    raise AssertionError("the stream of pairs never ends")


def _stack(sequences: list[PackedSequence]) -> Batch:
    return {
        "input_ids": torch.tensor([ids for ids, _ in sequences]),
        "labels": torch.tensor([labels for _, labels in sequences]),
    }
