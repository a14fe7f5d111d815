"""The measured tables of one folder of records, as Markdown: memory and time, learning, ZeRO's states.

Runs are tabled by the work they did, since nothing else may be compared: the same model, batch and length,
the same number of steps, on the same device with the same versions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from memlab.publishing import zero_table
from memlab.results import zero_formulas
from memlab.results.comparing import LORA, arm_order, equal_seconds, savings, setting
from memlab.results.files import read_folder
from memlab.results.groups import (
    PRECISIONS,
    Group,
    arms,
    best,
    grouped,
    held_out_of,
    loss_after_seconds,
    loss_of,
    peak_of,
    step_of,
    steps_to,
    tuned,
)
from memlab.results.numbers import in_bytes, in_nats, in_percent, in_seconds, in_steps, in_thousands
from memlab.results.record import LOSS_WINDOW, Record
from memlab.results.techniques import BASELINE


def of_folder(folder: Path) -> str:
    """Return the tables of the records in one folder; empty without a record."""
    records = [one for one in read_folder(folder) if one.setup.rank_index is None]
    works: dict[str, list[Group]] = {}
    for group in grouped(one for one in records if one.mode == "measured"):
        works.setdefault(_work(group.first), []).append(group)
    parts = []
    for groups in sorted(works.values(), key=_place):
        groups = sorted(groups, key=order)
        applicable = [group for group in groups if group.first.status != "not_applicable"]
        parts.append(heading(groups[0].first))
        parts += _quality(applicable) if groups[0].first.setup.shows_learning else _memory(applicable)
        parts += [_not_applicable(group) for group in groups if group not in applicable]
    return "\n\n".join(parts)


def _work(one: Record) -> str:
    """Return what the runs of one table share; what is learned in each precision is a table of its own."""
    return repr((setting(one), one.setup.precision if one.setup.shows_learning else None))


def _place(groups: list[Group]) -> tuple[bool, int, str]:
    """The key by which works are sorted: memory before quality, and first what most techniques did."""
    first = groups[0].first
    return first.setup.shows_learning, -len({group.technique for group in groups}), heading(first)


def heading(one: Record) -> str:
    """Say in a line of Markdown what work a record is of, and where it was made."""
    setup, quality, on_gpu = one.setup, one.setup.shows_learning, one.device.kind == "cuda"
    where = f"On a {'GPU' if on_gpu else 'CPU'}, {one.device.name}"
    if one.device.bf16_kernel is not None:
        where += f", bf16 products by {one.device.bf16_kernel}"
    if not quality:
        where += ": the allocator's peak" if on_gpu else ": bytes of live tensors, not a GPU's"
    about = f"What is learned in {PRECISIONS[setup.precision]}" if quality else "Memory and time"
    versions = ", ".join(f"{name} {one.origin.versions[name]}" for name in ("torch", "transformers", "peft"))
    return (
        f"**{about}: {setup.model}, batch {setup.batch}, {setup.seq} tokens a sequence, {setup.steps} steps "
        f"after {setup.warmup} of warm-up.** {where}. ({versions}.)"
    )


def order(group: Group) -> tuple[bool, str, tuple[Any, ...], int, float]:
    """The key by which a table's rows are sorted: the baseline, then by the alphabet, arm by arm."""
    setup = group.first.setup
    *arm, rate = arm_order(setup)
    precision = list(PRECISIONS).index(setup.precision)
    return group.technique != BASELINE, group.technique, tuple(arm), precision, rate


def _name(group: Group) -> str:
    link = f"[`{group.technique}.py`]({group.technique}.py)"
    step = f" + {group.first.setup.step}" if group.first.setup.step else group.sharding
    return link + step + f", {group.adapters}" * bool(group.adapters)


def _not_applicable(group: Group) -> str:
    return f"Not applicable: {_name(group)}; {group.first.message}."


def _table(head: Sequence[str], alignment: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, alignment, *rows))


# ---- memory and time -------------------------------------------------------------------------------------

_MEMORY = ("Demo", "Precision", "Peak", "Came in", "Against mixed", "Against bf16", "Step", "Trained")


def _memory(groups: list[Group]) -> list[str]:
    alignment = ("---", "---", "--:", "---", "--:", "--:", "--:", "--:")
    parts = [_table(_MEMORY, alignment, [_memory_row(group, groups) for group in groups])] if groups else []
    if sharded := zero_formulas.sharded(one for group in groups for one in group.records):
        title = "What `zero.py`'s ranks keep of the model states, in bytes for a parameter."
        rows = [zero_table.row(one) for one in sharded]
        parts += [
            title,
            _table(zero_table.HEAD, ["--:"] * len(zero_table.HEAD), rows),
            zero_table.LEGEND,
        ]
    return parts


def _memory_row(group: Group, groups: list[Group]) -> list[str]:
    others = [(baseline, saving) for baseline, saving in savings(group, groups) if baseline is not group]
    saved = {baseline.first.setup.precision: saving for baseline, saving in others}
    learning = group.first.learning
    return [
        _name(group),
        group.first.setup.precision,
        in_bytes(group.median(peak_of)) if group.status == "ok" else group.status,
        group.first.memory.peak_phase or "–",
        *(in_percent(-saved[name]) if name in saved else "–" for name in PRECISIONS),
        in_seconds(group.median(step_of)),
        in_thousands(learning.trainable_parameters if learning else None),
    ]


# ---- what is learned -------------------------------------------------------------------------------------


def _quality(groups: list[Group]) -> list[str]:
    """Each arm at the rate that was chosen for it, beside LoRA; then the rates that were tried."""
    chosen = [group for group, _rates in tuned(groups)]
    lora = best(group for group in chosen if group.technique == LORA)
    seconds = equal_seconds(chosen)
    head = (
        "Demo",
        "Rate",
        "Seeds",
        f"Final loss (last {LOSS_WINDOW} steps)",
        "From – to",
        "Steps to LoRA's",
        f"Loss after {in_seconds(seconds)}",
        "Held-out loss",
        "Step",
    )
    rows = []
    for group in chosen:
        losses = group.values(loss_of)
        rows.append(
            [
                _name(group),
                f"{group.first.setup.lr:g}",
                str(len(group.records)),
                in_nats(group.median(loss_of)) if group.status == "ok" else group.status,
                f"{in_nats(min(losses))} – {in_nats(max(losses))}" if len(losses) > 1 else "–",
                in_steps(group.median(steps_to(lora))) if lora else "–",
                in_nats(group.median(loss_after_seconds(seconds))),
                in_nats(group.median(held_out_of)),
                in_seconds(group.median(step_of)),
            ]
        )
    return [_table(head, ["---", *["--:"] * (len(head) - 1)], rows), *_grid(groups)]


def _grid(groups: list[Group]) -> list[str]:
    """The held-out loss of seed 0 at every rate that was tried; nothing where there was one rate each."""
    tried = {_name(arm[0]): {g.first.setup.lr: _of_seed_0(g) for g in arm} for arm in arms(groups)}
    tried = {name: losses for name, losses in tried.items() if len(losses) > 1}
    if not tried:
        return []
    rates = sorted({rate for losses in tried.values() for rate in losses})
    rows = []
    for name, losses in tried.items():
        lowest = min((in_nats(loss) for loss in losses.values() if loss is not None), default=None)
        cells = [in_nats(losses.get(rate)) for rate in rates]
        rows.append([name, *(f"**{cell}**" if cell == lowest else cell for cell in cells)])
    head = ("Held-out loss at rate", *(f"{rate:g}" for rate in rates))
    return [
        "Each rate was chosen from one grid, by the held-out loss of seed 0:",
        _table(head, ["---", *["--:"] * len(rates)], rows),
    ]


def _of_seed_0(group: Group) -> float | None:
    return next((held_out_of(one) for one in group.records if one.setup.seed == 0), None)
