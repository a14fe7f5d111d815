"""The tables and charts that questions show: every figure in them is a published record's, in both languages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from memlab.results.record import KINDS, Record
from steelyard import evidence
from steelyard.bank.load import load
from steelyard.bank.model import Bank
from steelyard.evidence import Records
from steelyard.settings import project_data

GB, MB, MIB = 1e9, 1e6, 2**20
PARAMETERS = 134_515_008
LONG = {"batch": 4, "seq": 512, "seed": 0}
SHORT = {"batch": 8, "seq": 48, "seed": 0, "rank": 16}
HELD = ("weights", "adapters", "optimizer", "activations", "temporaries")
WHOLE = ("weights", "optimizer", "gradients", "activations", "temporaries", "other")

# Of each question: the unit, the decimals, the kinds down the table, and the run of each column.
BREAKDOWNS: dict[str, tuple[float, int, tuple[str, ...], tuple[dict[str, Any], ...]]] = {
    "lora/peak": (GB, 2, tuple(kind for kind in WHOLE if kind != "gradients"), ({"technique": "baseline", "precision": "mixed"},)),
    "memory/peak": (
        MIB,
        0,
        ("weights", "gradients", "optimizer", "activations", "temporaries", "other"),
        ({"technique": "baseline", "precision": "mixed"},),
    ),
    "checkpointing/table": (
        MB,
        0,
        WHOLE,
        (
            {"technique": "baseline", "precision": "mixed"},
            {"technique": "gradient_checkpointing", "precision": "mixed"},
        ),
    ),
    "qlora/breakdown": (
        MB,
        0,
        HELD,
        ({"technique": "lora", "precision": "bf16"}, {"technique": "qlora", "precision": "bf16"}),
    ),
    "dora/memory": (MIB, 0, HELD, ({"technique": "lora", "precision": "bf16"},)),
}  # fmt: skip


@pytest.fixture(scope="module")
def bank() -> Bank:
    return load(project_data() / "questions")


@pytest.fixture(scope="module")
def published() -> Records:
    return evidence.load(project_data() / "demos" / "results")


def table(bank: Bank, id: str) -> list[list[float]]:
    """Return the figures of the table in a question's stem, row by row without the first column.

    Both languages have to show the same.
    """
    found = []
    for twin in ("en", "ja"):
        lines = [line for line in bank.questions[id][twin].stem.source.split("\n") if line.startswith("|")]
        cells = [[cell.strip() for cell in line.strip("|").split("|")[1:]] for line in lines[2:]]
        found.append([[float(cell) for cell in row if re.fullmatch(r"[0-9.]+", cell)] for row in cells])
    assert found[0] == found[1], id
    return [row for row in found[0] if row]


def run(published: Records, **fields: Any) -> Record:
    """Return the one record of SmolLM2-135M on a CPU whose setup (and technique) has these fields."""

    def fits(record: Record) -> bool:
        setup = record.setup
        own = record.device.kind == "cpu" and setup.model == "SmolLM2-135M-Instruct"
        return own and all(
            (record.technique if name == "technique" else getattr(setup, name)) == value
            for name, value in fields.items()
        )

    (found,) = (group.first for group in published.groups if fits(group.first))
    return found


def test_every_question_that_reads_a_table_of_ours_is_checked_here(bank):
    reading = {id for id, twins in bank.questions.items() if "table" in twins["en"].tags}
    others = {"lora/timeline", "peft/headline", "peft/losses", "pissa/rates", "zero/table"}

    assert reading == {*BREAKDOWNS, *others}


@pytest.mark.parametrize("id", BREAKDOWNS)
def test_a_breakdown_is_that_of_the_records(bank, published, id):
    unit, decimals, kinds, runs = BREAKDOWNS[id]
    columns = [run(published, **LONG, **fields).memory.breakdown_at_peak for fields in runs]
    expected = [[round(getattr(one, kind) / unit, decimals) for one in columns] for kind in kinds]

    assert expected == table(bank, id)


def test_the_moments_of_a_step_are_instants_of_the_records_timeline(bank, published):
    record = run(published, **LONG, technique="lora", precision="mixed")
    order = [
        KINDS.index(kind)
        for kind in ("weights", "adapters", "gradients", "optimizer", "activations", "temporaries")
    ]
    instants = {tuple(round(instant[1 + at] / MB) for at in order) for instant in record.memory.timeline}

    assert {*zip(*table(bank, "lora/timeline"), strict=True)} <= instants


def test_the_headlines_figures_are_the_records(bank, published):
    runs = (
        run(published, **LONG, technique="baseline", precision="mixed"),
        run(published, **LONG, technique="baseline", precision="bf16"),
        run(published, **LONG, technique="stack", step="chunked_loss"),
    )
    expected = [
        [
            round(one.memory.peak_bytes / GB, 2),
            round(one.memory.static_bytes / GB, 2),
            round(one.learning.trainable_parameters / 1e6, 1),
        ]
        for one in runs
    ]

    assert expected == table(bank, "peft/headline")


def test_the_losses_and_their_rates_are_the_records(bank, published):
    rows = table(bank, "peft/losses")
    names = ("baseline", "lora", "pissa", "dora", "qlora")
    for technique, row in zip(names, rows, strict=True):
        rank = {} if technique == "baseline" else {"rank": 16}
        record = run(published, **LONG, **rank, technique=technique, precision="mixed")
        learning = record.learning

        assert [
            record.setup.lr,
            round(learning.eval_loss_before, 3),
            round(learning.eval_loss_after, 3),
        ] == row


def test_the_losses_at_several_rates_are_the_records(bank, published):
    def loss(technique: str, lr: float) -> float:
        return round(run(published, **SHORT, technique=technique, lr=lr).learning.eval_loss_after, 3)

    shared = [[loss("lora", lr), loss("pissa", lr)] for lr in (0.0003, 0.001, 0.003)]

    assert [[loss("pissa", 0.0001)], *shared] == table(bank, "pissa/rates")


def per_parameter(published: Records, stage: int, ranks: int = 2) -> Iterator[float]:
    states = run(published, technique="zero", stage=stage, ranks=ranks, offload=False).states
    for held in (states.parameters_bytes, states.gradients_bytes, states.master_bytes, states.moments_bytes):
        yield held / PARAMETERS


def test_what_two_ranks_keep_is_in_the_records(bank, published):
    """To a hundredth of a byte but for what DeepSpeed pads, which the question leaves out."""
    for stage, row in enumerate(table(bank, "zero/table")):
        assert list(per_parameter(published, stage)) == pytest.approx(row, abs=0.02), stage


def test_the_chart_of_what_ranks_keep_is_drawn_from_the_records(bank, published):
    """Each line's points, read back by the chart's own scale: 16 bytes are 224 units above the ground line."""
    drawing = (project_data() / "questions" / "zero" / "lines.svg").read_text(encoding="utf-8")
    ground = float(re.findall(r'd="M60 ([0-9.]+)H', drawing)[0])
    lines = {
        name: [(ground - float(point.split(",")[1])) / 14 for point in points.split()]
        for name, points in re.findall(r'<polyline id="(.)" points="([^"]+)"', drawing)
    }

    assert {*lines} == {"P", "Q", "R"}
    for name, stage in (("R", 1), ("P", 2), ("Q", 3)):
        kept = [sum(per_parameter(published, stage, ranks)) for ranks in (1, 2, 4)]
        assert lines[name] == pytest.approx(kept, abs=0.03), name
    for language in ("en", "ja"):
        stem = bank.questions["zero/lines"][language].stem.source
        for points in lines.values():
            for value in points[1:]:
                assert f"{value:.1f}" in stem, language
