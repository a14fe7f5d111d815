"""How each arm of a work is called beside the others: by its technique and what tells it apart."""

from __future__ import annotations

from collections.abc import Sequence

from flask_babel import gettext as _
from flask_babel import ngettext, pgettext

from memlab.results.record import TECHNIQUE_FIELDS, Setup
from steelyard.evidence import Group
from steelyard.web.text import numbers
from steelyard.web.text.technique_texts import title
from steelyard.web.text.vocabulary import rate_words, step_words

_LABEL_FIELDS = ("step", "stage", "init", "rank", "alpha", "lr", "offload")
"""What an arm's label can tell, in this order. Whatever else it needs is called as in the record."""


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
    fields = [field for field in _LABEL_FIELDS if field in telling]
    fields += [field for field in telling if field not in _LABEL_FIELDS]
    name = plain_label(group)
    for detail in filter(None, (_field_label(setup, field) for field in fields)):
        name = _("%(name)s, %(detail)s", name=name, detail=detail)
    return name


def arm_words(setup: Setup) -> str:
    """Return all that tells an arm apart within its work, for the page of one run."""
    details = [_field_label(setup, field) for field in _LABEL_FIELDS]
    return " · ".join(filter(None, [*details, rank_words(setup)]))


def rank_words(setup: Setup) -> str | None:
    """Return which of several ranks a record is of; None where it is of all of them."""
    index = setup.rank_index
    return None if index is None else pgettext("one of several processes", "rank %(index)s", index=index)


def _field_label(setup: Setup, field: str) -> str | None:
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
