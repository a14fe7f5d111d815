"""The text is real, split by module, packed without padding, and the same for every technique."""

from __future__ import annotations

import pytest

from memlab.options.setup import Setup, UsageError
from memlab.training import data


def tokenize(text: str) -> list[int]:
    return list(text.encode())


@pytest.fixture(scope="module")
def text():
    return data.load("docstrings")


def test_there_are_thousands_of_pairs_of_the_standard_library(text):
    """A real function is there, with the arguments and the first line of its docstring."""
    assert len(text.train) + len(text.held_out) > 3000
    pairs = {pair.prompt: pair for pair in (*text.train, *text.held_out)}
    pair = pairs['def dedent(text):\n    """']
    assert pair.group == "textwrap" and pair.answer.startswith("Remove any common leading whitespace")
    assert pair.answer.endswith('"""')


def test_no_module_is_on_both_sides(text):
    """Held-out text comes from modules that training never sees: about a tenth of them."""
    train, held_out = ({pair.group for pair in side} for side in (text.train, text.held_out))
    assert not train & held_out
    assert 0.03 < len(held_out) / len(train | held_out) < 0.2


def test_the_hash_is_of_the_content(tmp_path):
    """The same library gives the same hash, and a changed docstring another."""
    for name in "abcdefghijklmnopqrstuvwxyz":
        (tmp_path / f"{name}.py").write_text(f'def {name}(x, *, y=1):\n    """Do {name}.\n\n    More."""\n')
    (tmp_path / "broken.py").write_text("def (")
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "t.py").write_text('def t():\n    """Test."""\n')
    first = data.docstrings(tmp_path)
    assert len(first) == 26
    assert first[1] == data.Pair('def b(x, *, y=1):\n    """', 'Do b."""', "b")
    assert data.split(first).sha256 == data.split(data.docstrings(tmp_path)).sha256
    (tmp_path / "a.py").write_text('def a(x, *, y=1):\n    """Do something else."""\n')
    assert data.split(first).sha256 != data.split(data.docstrings(tmp_path)).sha256


def test_text_that_cannot_be_split_is_refused():
    """One module cannot be both trained on and held out."""
    with pytest.raises(ValueError, match="too few groups"):
        data.split([data.Pair("a", "b", "one")])


@pytest.mark.parametrize(("batch", "seq"), [(1, 64), (3, 64), (2, 1000)])
def test_batches_are_full_and_their_labels_are_the_answers(text, batch, seq):
    """Exactly batch × seq tokens, no padding; the loss sees answers and ends of text only."""
    batches = data.training_batches(text, tokenize, 0, batch=batch, seq=seq, n=3, seed=0)
    assert [tuple(b["input_ids"].shape) for b in batches] == [(batch, seq)] * 3
    for one in batches:
        seen = one["labels"] != data.IGNORED
        assert (one["labels"][seen] == one["input_ids"][seen]).all()
    decoded = bytes(i for b in batches for row in b["input_ids"] for i in row.tolist()).decode(
        errors="ignore"
    )
    assert decoded.startswith("def ") or decoded.startswith("async ")


def test_the_order_depends_on_the_seed_alone(text):
    """Equal seeds give equal batches; another seed gives another order."""
    size = {"batch": 2, "seq": 64, "n": 2}
    first, again, other = (
        data.training_batches(text, tokenize, 0, **size, seed=seed)[1]["input_ids"].tolist()
        for seed in (0, 0, 1)
    )
    assert first == again != other


def test_training_longer_than_the_text_begins_again(text):
    """A short text is repeated in a new order rather than running out."""
    short = data.Dataset(text.train[:5], text.held_out[:5], text.sha256)
    batches = data.training_batches(short, tokenize, 0, batch=4, seq=512, n=4, seed=0)
    assert len(batches) == 4
    assert len(data.held_out_batches(short, tokenize, 0, batch=4, seq=512, n=8)) == 2


@pytest.mark.parametrize(("seq", "rows"), [(16, 256), (48, 86), (512, 8), (1000, 5), (8192, 1)])
def test_the_held_out_text_is_as_long_for_short_sequences_as_for_long_ones(text, seq, rows):
    """4096 tokens, rounded up to whole sequences: a loss on fewer would be mostly luck."""
    assert Setup(batch=3, seq=seq, steps=200).held_out_rows == rows
    batches = data.held_out_batches(text, tokenize, 0, batch=3, seq=seq, n=rows)
    assert sum(len(batch["input_ids"]) for batch in batches) == rows
    assert all(batch["input_ids"].shape[1] == seq for batch in batches)
    assert [len(batch["input_ids"]) for batch in batches[:-1]] == [3] * (len(batches) - 1)


def test_evaluating_costs_no_more_than_training():
    """Two forward passes over the held-out text take no longer than the steps; a first look has 512 tokens."""
    quick = Setup(batch=1, seq=128, steps=2, warmup=1)
    assert quick.held_out_rows * quick.seq == 512
    for setup in (
        quick,
        Setup(),
        Setup(batch=8, seq=48, steps=60),
        Setup(batch=1, seq=16, steps=1, warmup=1),
    ):
        trained = (setup.steps + setup.warmup) * setup.batch * setup.seq
        assert 2 * setup.held_out_rows * setup.seq <= 3 * trained


def test_every_row_has_something_to_predict(text):
    """Rows shorter than a prompt would give a mean over nothing, and the loss would be no number."""
    for batch in data.held_out_batches(text, tokenize, 0, batch=1, seq=16, n=64):
        assert (batch["labels"][:, 1:] != data.IGNORED).any()


def test_columns_of_a_data_set_are_recognised_or_refused():
    """The usual pairs of columns, plain text, and a line that lists what is there instead."""
    rows = [{"instruction": "Add.", "output": "2"}, {"prompt": "p", "completion": "c"}, {"text": "t"}]
    assert [pair.answer for pair in data.pairs_of_rows("x", rows)] == ["2", "c", "t"]
    with pytest.raises(UsageError, match="--dataset x: has the columns a, b; needed are text"):
        data.pairs_of_rows("x", [{"a": 1, "b": 2}])
