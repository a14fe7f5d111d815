"""Works: runs that may stand side by side, and how each of them is called beside the others.

A work is a setup on one device: the same model, batch, sequence, steps, data, kernels and versions. Only what
a technique brings with it may differ within it (rank, learning rate, stage and ranks of ZeRO, a step of the
stack, the precision): that tells its *arms* apart, and stands in their labels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from flask_babel import gettext as _
from flask_babel import ngettext, pgettext

from memlab.results.record import STEPS, TECHNIQUE_FIELDS, Record, Setup
from steelyard.bank.model import place
from steelyard.evidence import Difference, Group, Records, differences, tuned
from steelyard.web import numbers
from steelyard.web.cards import title
from steelyard.web.pages import BASELINE
from steelyard.web.remember import remembered
from steelyard.web.wording import rate_words, step_words

DEVICES = ("cuda", "cpu", "fake")
"""The stronger evidence first."""

HELD_OUT = "learning.eval_loss_after"

_OWN = TECHNIQUE_FIELDS | {"seed", "precision", "autocast", "stage", "ranks", "rank_index"}
"""What an arm brings with it; in every other field of the setup the arms of a work agree."""

_TOLD = ("step", "stage", "init", "rank", "alpha", "lr", "offload")
"""What an arm's label can tell, in this order. Whatever else it needs is called as in the record."""


@dataclass(frozen=True)
class Work:
    """What was done and where, and the repeats of it: by technique, the baseline first."""

    groups: tuple[Group, ...]

    @property
    def first(self) -> Record:
        return self.groups[0].first

    @cached_property
    def key(self) -> str:
        """A short name for an address, which changes with the setup, the device and the versions."""
        return hashlib.sha256(repr(_setting(self.first)).encode()).hexdigest()[:10]

    @cached_property
    def techniques(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(group.first.technique for group in self.groups))

    def of(self, technique: str) -> tuple[Group, ...]:
        """Return the repeats of one technique."""
        return tuple(group for group in self.groups if group.first.technique == technique)

    def reference(self, group: Group) -> tuple[Group, tuple[Difference, ...]] | None:
        """Return what to compare repeats with, and in what the two differ; None where nothing compares.

        Of a shard that is stage 0 on as many ranks, of all else full fine-tuning in the same precision.
        """
        setup = group.first.setup
        sharded = setup.stage is not None
        others = [
            other
            for other in self.of(group.first.technique if sharded else BASELINE)
            if other.first.setup.precision == setup.precision
            and (not sharded or (other.first.setup.stage == 0 and other.first.setup.ranks == setup.ranks))
        ]
        for other, _rates in tuned(others):
            allowed, refused = differences(
                group.first, other.first, {"stage", "offload"} if sharded else set()
            )
            if not refused and other.arm != group.arm:
                return other, allowed
        return None


@remembered(1)
def works(records: Records) -> tuple[Work, ...]:
    """Return every work: on a GPU first, and there the one first in which most techniques were measured."""
    found: dict[str, list[Group]] = {}
    for group in records.groups:
        found.setdefault(repr(_setting(group.first)), []).append(group)
    made = [Work(tuple(sorted(groups, key=order))) for groups in found.values()]
    return tuple(
        sorted(made, key=lambda w: (DEVICES.index(w.first.device.kind), -len(w.techniques), -len(w.groups)))
    )


def works_of(technique: str, records: Records) -> tuple[Work, ...]:
    """Return the works in which a technique was measured; the first heads its page."""
    return tuple(work for work in works(records) if technique in work.techniques)


def apart(a: Work, b: Work) -> tuple[Difference, ...]:
    """Return in what two works differ."""
    mine, theirs = dict(_setting(a.first)), dict(_setting(b.first))
    names = dict.fromkeys([*mine, *theirs])
    return tuple(
        Difference(name, mine.get(name), theirs.get(name))
        for name in names
        if mine.get(name) != theirs.get(name)
    )


def labels(groups: Sequence[Group]) -> tuple[str, ...]:
    """Return a name for each of these repeats, of one work, that no other of them has."""
    alike: dict[tuple[str, str], list[Group]] = {}
    for group in groups:
        alike.setdefault(_plain(group), []).append(group)
    return tuple(_label(group, alike[_plain(group)]) for group in groups)


def plain_label(group: Group) -> str:
    """Return the name that a technique's repeats have where there are no others in their precision."""
    precision = _("mixed") if group.first.setup.precision == "mixed" else _("bf16")
    return _("%(technique)s, %(precision)s", technique=title(group.first.technique), precision=precision)


def _plain(group: Group) -> tuple[str, str]:
    return group.first.technique, group.first.setup.precision


def _label(group: Group, alike: Sequence[Group]) -> str:
    setup = group.first.setup
    telling = [
        field
        for field in Setup.model_fields
        if field != "seed" and len({repr(getattr(other.first.setup, field)) for other in alike}) > 1
    ]
    if setup.step is not None:  # a step brings its optimizer, its loss and so on
        telling = ["step", *(field for field in telling if field not in TECHNIQUE_FIELDS)]
    elif setup.stage is not None:
        telling = ["stage", *(field for field in telling if field not in ("stage", "ranks"))]
    if "rank" in telling and len({other.first.setup.scale for other in alike}) == 1:
        telling = [field for field in telling if field != "alpha"]  # it goes with the rank
    told = [field for field in _TOLD if field in telling]
    told += [field for field in telling if field not in _TOLD]
    name = plain_label(group)
    for detail in filter(None, (_told(setup, field) for field in told)):
        name = _("%(name)s, %(detail)s", name=name, detail=detail)
    return name


def arm_words(setup: Setup) -> str:
    """Return all that tells an arm apart within its work, for the page of one run."""
    told = [_told(setup, field) for field in _TOLD]
    return " · ".join(filter(None, [*told, rank_words(setup)]))


def rank_words(setup: Setup) -> str | None:
    """Return which of several ranks a record is of; None where it is of all of them."""
    index = setup.rank_index
    return None if index is None else pgettext("one of several processes", "rank %(index)s", index=index)


def _told(setup: Setup, field: str) -> str | None:
    """Return what a field says in a label; None where a technique lacks it."""
    value = getattr(setup, field)
    if field == "offload":
        return _("offloaded") if value else None
    if value is None:
        return None
    match field:
        case "step":
            return _("up to %(step)s", step=step_words(value))
        case "stage":
            return ngettext(
                "stage %(stage)s on %(num)s rank",
                "stage %(stage)s on %(num)s ranks",
                setup.ranks,
                stage=value,
            )
        case "init":
            return _("exact SVD") if value == "pissa" else _("approximate SVD")
        case "rank":
            return _("rank %(rank)s", rank=value)
        case "alpha":
            return f"α {numbers.plain(value)}"
        case "lr":
            return _("rate %(rate)s", rate=rate_words(value))
    return f"{field} {value}"


def _setting(record: Record) -> tuple[tuple[str, Any], ...]:
    """Return what the runs of a work have in common, by name."""
    device, setup = record.device, record.setup
    return (
        ("device", device.kind),
        ("device name", device.name),
        *((name, getattr(setup, name)) for name in Setup.model_fields if name not in _OWN),
        *(
            (f"version of {name}", version)
            for name, version in sorted(record.origin.versions.items())
            if version is not None
        ),
    )


def order(group: Group) -> tuple[Any, ...]:
    """Return the place of repeats among others of their work: by technique, precision, step and so on."""
    technique, setup = group.first.technique, group.first.setup
    return (
        place(technique),
        setup.precision != "mixed",
        STEPS.index(setup.step) if setup.step else -1,
        setup.ranks,
        setup.stage or 0,
        setup.offload,
        setup.init or "",
        -(setup.rank or 0),
        setup.lr,
        group.ids,
    )
