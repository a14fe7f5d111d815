"""The measured tables of one folder of records, as Markdown: memory and time, learning, ZeRO's states.

Runs are tabled by the work they did, since nothing else may be compared: the same model, batch and length,
the same number of steps, on the same device with the same versions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from memlab.publishing import zero_table
from memlab.results import zero_formulas
from memlab.results.comparing import (
    BASELINE,
    LORA,
    PRECISIONS,
    Group,
    best,
    change,
    equal_seconds,
    grouped,
    held_out_of,
    loss_after_seconds,
    loss_of,
    peak_of,
    savings,
    step_of,
    steps_to,
)
from memlab.results.files import read_folder
from memlab.results.numbers import in_bytes, in_nats, in_percent, in_seconds, in_steps, in_thousands
from memlab.results.record import LOSS_WINDOW, STEPS

QUALITY_STEPS = 50
"""Steps from which on a work is about what is learned; shorter ones are about memory and time."""


def of_folder(folder: Path) -> str:
    """Return the tables of the records in one folder; empty without a record."""
    records = [one for one in read_folder(folder) if one.setup.rank_index is None]
    works: dict[tuple[bool, str], list[Group]] = {}
    for group in grouped(one for one in records if one.mode == "measured"):
        works.setdefault((is_quality(group), heading(group)), []).append(group)
    parts = []
    for (quality, title), groups in sorted(works.items(), key=_place):
        groups = sorted(groups, key=order)
        applicable = [group for group in groups if group.first.status != "not_applicable"]
        parts.append(title)
        parts += _quality(applicable) if quality else _memory(applicable)
        parts += [_not_applicable(group) for group in groups if group not in applicable]
    return "\n\n".join(parts)


def _place(work: tuple[tuple[bool, str], list[Group]]) -> tuple[bool, int, str]:
    """The key by which works are sorted: memory before quality, and first what most techniques did."""
    (quality, title), groups = work
    return quality, -len({group.technique for group in groups}), title


def is_quality(group: Group) -> bool:
    """Whether these runs are long enough to tell what was learned."""
    return group.first.setup.warmup + group.first.setup.steps >= QUALITY_STEPS


def heading(group: Group) -> str:
    """Say in a line of Markdown what work a group did, and where; groups of one heading share a table."""
    one, setup = group.first, group.first.setup
    on_gpu, quality = one.device.kind == "cuda", is_quality(group)
    where = f"On a {'GPU' if on_gpu else 'CPU'}, {one.device.name}"
    if not quality:
        where += ": the allocator's peak" if on_gpu else ": bytes of live tensors, not a GPU's"
    about = f"What is learned in {PRECISIONS[setup.precision]}" if quality else "Memory and time"
    versions = ", ".join(f"{name} {one.origin.versions[name]}" for name in ("torch", "transformers", "peft"))
    return (
        f"**{about}: {setup.model}, batch {setup.batch}, {setup.seq} tokens a sequence, {setup.steps} steps "
        f"after {setup.warmup} of warm-up.** {where}. ({versions}.)"
    )


def order(group: Group) -> tuple[bool, str, int, tuple[int, int], str, int, float]:
    """The key by which a table's rows are sorted: the usual arm of a technique comes before its variants."""
    setup = group.first.setup
    place = STEPS.index(setup.step) if setup.step else -1
    sharding = setup.ranks, setup.stage or 0
    arm = f"{setup.init or ''} {1000 - (setup.rank or 0):4}"
    precision = list(PRECISIONS).index(setup.precision)
    return group.technique != BASELINE, group.technique, place, sharding, arm, precision, setup.lr


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
        *(in_percent(change(1 - saved[name], 1)) if name in saved else "–" for name in PRECISIONS),
        in_seconds(group.median(step_of)),
        in_thousands(learning.trainable_parameters if learning else None),
    ]


# ---- what is learned -------------------------------------------------------------------------------------


def _quality(groups: list[Group]) -> list[str]:
    """Each arm at the rate that was chosen for it, beside LoRA; then the rates that were tried."""
    arms: dict[str, list[Group]] = {}
    for group in groups:
        arms.setdefault(_name(group), []).append(group)
    chosen = {name: found for name, tried in arms.items() if (found := best(tried))}
    lora = best(group for group in chosen.values() if group.technique == LORA)
    seconds = equal_seconds(chosen.values())
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
    for name, group in chosen.items():
        losses = group.values(loss_of)
        rows.append(
            [
                name,
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
    return [_table(head, ["---", *["--:"] * (len(head) - 1)], rows), *_grid(arms)]


def _grid(arms: dict[str, list[Group]]) -> list[str]:
    """The held-out loss of seed 0 at every rate that was tried; nothing where there was one rate each."""
    tried = {name: {g.first.setup.lr: _of_seed_0(g) for g in groups} for name, groups in arms.items()}
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
