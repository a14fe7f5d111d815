"""Show records as a table in the terminal.

A saving is a fraction of a baseline's bytes, and is never shown without that baseline's precision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from memlab.publishing import zero_table
from memlab.results import gpu_fit, zero_formulas
from memlab.results.comparing import (
    change,
    comparable,
    equal_seconds,
    lora_beside,
    savings,
    times_compare,
    unlike_repeats,
)
from memlab.results.groups import (
    Get,
    Group,
    bytes_at_peak,
    grouped,
    held_out_of,
    loss_after_seconds,
    loss_of,
    peak_of,
    step_of,
    steps_to,
)
from memlab.results.numbers import (
    device_words,
    in_bytes,
    in_nats,
    in_percent,
    in_seconds,
    in_steps,
    in_thousands,
)
from memlab.results.record import KINDS, LOSS_WINDOW, Record
from memlab.results.techniques import BASELINE

Columns = list[tuple[str, Group]]

_WIDEST = 10_000
"""More columns of text than any table wants."""


class Row(NamedTuple):
    """A line of the table: its name, its number and how that is written."""

    name: str
    get: Get
    words: Callable[[float | None], str]
    is_time: bool = False


def _rows(groups: Sequence[Group], lora: Group | None) -> list[Row]:
    kinds = [kind for kind in KINDS if any(bytes_at_peak(kind)(group.first) for group in groups)]
    return [
        Row("peak memory", peak_of, in_bytes),
        *(Row(f"  {kind}", bytes_at_peak(kind), in_bytes) for kind in kinds),
        Row("between two steps", lambda one: one.memory.static_bytes, in_bytes),
        Row("while loading", lambda one: one.memory.load_peak_bytes, in_bytes),
        Row("reserved by the allocator", lambda one: one.memory.reserved_bytes, in_bytes),
        Row("the process at most", lambda one: one.memory.process_bytes, in_bytes),
        Row("time of a step", step_of, in_seconds, is_time=True),
        Row("tokens per second", lambda one: one.speed.tokens_per_second, in_thousands, is_time=True),
        Row(
            "trained parameters",
            lambda one: one.learning.trainable_parameters if one.learning else None,
            in_thousands,
        ),
        Row(
            "held-out loss before",
            lambda one: one.learning.eval_loss_before if one.learning else None,
            in_nats,
        ),
        Row("held-out loss after", held_out_of, in_nats),
        *_learning_rows(groups, lora),
    ]


def _learning_rows(groups: Sequence[Group], lora: Group | None) -> list[Row]:
    """The rows of runs that are long enough to tell what was learned."""
    if not all(group.shows_learning for group in groups):
        return []
    rows = [Row(f"final loss (mean of the last {LOSS_WINDOW} steps)", loss_of, in_nats)]
    if groups[0].technique == BASELINE and len(groups) > 1:
        rows.append(Row("steps to the baseline's final loss", steps_to(groups[0]), in_steps))
    if lora is not None:
        rows.append(Row("steps to LoRA's final loss", steps_to(lora), in_steps))
    seconds = equal_seconds(groups)
    alike = all(times_compare(group.first, groups[0].first) for group in groups)
    if seconds is not None and alike and len(groups) > 1:
        rows.append(Row(f"loss after {in_seconds(seconds)}", loss_after_seconds(seconds), in_nats))
    return rows


def show(
    records: Sequence[Record],
    *,
    theirs: Record | None,
    earlier: Sequence[Record],
    console: Console | None = None,
) -> None:
    """Print what was measured: one column a technique, and of two how the second compares with the first.

    Where there are more columns than the terminal is wide they go into several tables.

    `theirs` is the record of `--like`; it becomes the column to compare with. Among `earlier` records the
    baselines are sought that the technique may also be compared with, and LoRA's runs.
    """
    console = console or Console()
    groups = grouped(records)
    columns = [(_name(group, groups), group) for group in groups if group.first.status != "not_applicable"]
    if theirs is not None:
        columns = [("theirs", Group.of([theirs])), ("yours", groups[0])]
    lora = lora_beside(groups[-1], grouped(earlier))
    for table in _tables(columns, lora, console):
        console.print(table)
    if lora is not None:
        console.print(
            f"LoRA's final loss is {in_nats(lora.median(loss_of))}, of earlier runs with {lora.adapters} and "
            f"learning rate {lora.first.setup.lr:g}; steps to it are counted seed by seed.",
            highlight=False,
            soft_wrap=True,
        )
    for line in _sentences(groups, theirs, earlier):
        console.print(line, highlight=False, soft_wrap=True)
    if groups[-1].first.states is not None:
        console.print(_states_table([*records, *earlier], groups[-1].first))
        console.print(zero_table.LEGEND, highlight=False, soft_wrap=True)


def show_fit(records: Sequence[Record], gpu_memory: str, console: Console | None = None) -> None:
    """Print for each prediction whether a GPU of this size holds it, and with what margin."""
    console = console or Console()
    groups = grouped(records)
    for group in groups:
        if group.first.memory.peak_bytes is not None:
            held = gpu_fit.fit(group.first, gpu_fit.parse_size(gpu_memory))
            name = _name(group, groups)
            console.print(f"{name}: {fit_words(held, gpu_memory)}", highlight=False, soft_wrap=True)


def fit_words(held: gpu_fit.Fit, gpu_memory: str) -> str:
    """Say whether it fits, what it takes, and what is left or lacking."""
    takes = (
        f"takes {in_bytes(held.needed_bytes)} ({in_bytes(held.reserved_bytes)} by the allocator, "
        f"{in_bytes(held.outside_bytes)} outside it)"
    )
    if held.fits:
        return f"fits on {gpu_memory}: {takes}, and leaves {in_bytes(held.margin_bytes)}, {held.margin:.1%}."
    lacks = f"{takes}, {in_bytes(-held.margin_bytes)} too much, {-held.margin:.1%}"
    if held.tight:
        return f"is tight on {gpu_memory}: {lacks}; its tensors alone would fit, cached blocks given back."
    return f"does not fit on {gpu_memory}: {lacks}."


def _states_table(records: Sequence[Record], beside: Record) -> Table:
    table = Table(
        title="Model states of one rank, in bytes for a parameter",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
    )
    for name in zero_table.HEAD:
        table.add_column(name, justify="right")
    for one in zero_formulas.sharded(one for one in records if _differs_in_sharding(one, beside)):
        table.add_row(*zero_table.row(one))
    return table


def _differs_in_sharding(one: Record, beside: Record) -> bool:
    sharding = {"ranks", "rank_index", "stage", "offload"}
    return one.technique == beside.technique and comparable(one, beside, sharding)


def _name(group: Group, groups: Sequence[Group]) -> str:
    """Name a group among others: by its step, or by its technique, and by its precision if it takes that."""
    if group.first.setup.step:
        return f"+ {group.first.setup.step}"
    if group.sharding:
        return group.technique + group.sharding
    twins = [other for other in groups if other.technique == group.technique]
    return group.technique if len(twins) == 1 else f"{group.technique} {group.first.setup.precision}"


def _tables(columns: Columns, lora: Group | None, console: Console) -> Iterator[Table]:
    """Share the columns out among as many tables as the width asks for."""
    rows = _rows([group for _, group in columns], lora)
    compares = len(columns) == 2
    while columns:
        fitting = len(columns)
        while fitting > 1 and _width(_table(columns[:fitting], rows, compares), console) > console.width:
            fitting -= 1
        yield _table(columns[:fitting], rows, compares and fitting == 2)
        columns = columns[fitting:]


def _width(table: Table, console: Console) -> int:
    return Measurement.get(console, console.options.update(width=_WIDEST), table).maximum


def _table(columns: Columns, rows: Sequence[Row], compares: bool) -> Table:
    first = columns[0][1]
    setup = first.first.setup
    precisions = " and ".join(dict.fromkeys(group.precision for _, group in columns))
    table = Table(
        title=f"{setup.model}: batch {setup.batch}, {setup.seq} tokens a sequence, {precisions}",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("")
    for name, _ in columns:
        table.add_column(name, justify="right")
    if compares:
        table.add_column("change", justify="right")
    for row in rows:
        values = [group.median(row.get) for _, group in columns]
        if all(value is None for value in values):
            continue
        cells = [row.words(value) for value in values]
        if compares:
            (_, before), (_, after) = columns
            whole = before.status == after.status == "ok"
            alike = not row.is_time or times_compare(before.first, after.first)
            cells.append(in_percent(change(values[1], values[0]) if whole and alike else None))
        table.add_row(row.name, *cells, style="bold" if row.name == "peak memory" else None)
        if row.name == "peak memory":
            table.add_row(
                "  came in the phase", *(group.first.memory.peak_phase or "–" for _, group in columns)
            )
    for name, group in columns:
        for one in group.records:
            if one.status != "ok":
                table.add_section()
                table.add_row(f"{name}: {one.status}", one.message or "")
    return table


def _sentences(groups: list[Group], theirs: Record | None, earlier: Sequence[Record]) -> list[str]:
    lines = [device_words(groups[-1].first)]
    repeats = len(groups[-1].records)
    if repeats > 1:
        lines.append(f"Medians of {repeats} runs.")
    if theirs is not None:
        lines += [
            f"Not the same: {found.field} is {found.of} here and {found.against} in theirs."
            for found in unlike_repeats(groups[0].first, theirs)
        ]
    everything = grouped([one for group in groups for one in group.records] + list(earlier))
    for group in groups:
        if group.first.status == "not_applicable":
            lines.append(f"{_name(group, groups)}: not applicable; {group.first.message}.")
        if group.technique == BASELINE:
            continue
        for baseline, saving in savings(group, everything):
            lines.append(
                f"{_name(group, groups)} ({group.precision}) against full fine-tuning in "
                f"{baseline.precision}: peak {in_percent(-saving)}."
            )
    return lines
