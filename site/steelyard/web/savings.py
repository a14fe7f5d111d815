"""What each technique saves of the peak, by the records: the start page's map."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from steelyard.bank.model import Claim, Test
from steelyard.evidence import Finding, Records, judge
from steelyard.web.state import state

REFERENCE = "baseline"


@dataclass(frozen=True)
class Saving:
    """A technique, and its peak against full fine-tuning in each precision of the latter, on one device."""

    technique: str
    findings: tuple[Finding, ...]

    @property
    def points(self) -> list[tuple[str, float]]:
        """The marks on the beam: the first filled, the others hollow."""
        kinds = ("measured", *("second" for _ in self.findings[1:]))
        return [(kind, finding.value or 0.0) for kind, finding in zip(kinds, self.findings, strict=True)]


def savings() -> tuple[Saving, ...]:
    """Return the techniques that records decide, the greatest saving first."""
    return _savings(_ByIdentity(state().records))


class _ByIdentity:
    def __init__(self, records: Records) -> None:
        self.records = records

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByIdentity) and other.records is self.records

    def __hash__(self) -> int:
        return id(self.records)


@lru_cache(maxsize=2)
def _savings(key: _ByIdentity) -> tuple[Saving, ...]:
    techniques = {group.first.technique for group in key.records.groups} - {REFERENCE}
    found = []
    for technique in sorted(techniques):
        test = Test(
            of={"technique": technique}, against={"technique": REFERENCE}, take="saving", within=(0, None)
        )
        judgement = judge(Claim(id="saving", says=technique, tests=(test,)), key.records)
        decided = [finding for finding in judgement.findings if finding.value is not None]
        # One line of the map names one device and one work, so all its figures have to be of these.
        if alike := tuple(finding for finding in decided if _work(finding) == _work(decided[0])):
            found.append(Saving(technique, alike))
    return tuple(sorted(found, key=lambda saving: -max(finding.value or 0 for finding in saving.findings)))


def _work(finding: Finding) -> tuple[object, ...]:
    setup = finding.setup
    return finding.kind, finding.device, setup and (setup.model, setup.batch, setup.seq)
