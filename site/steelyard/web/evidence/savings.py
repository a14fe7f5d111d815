"""What each technique saves of the peak, by the records: the start page's map."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from memlab.results.record import STEPS
from memlab.results.techniques import BASELINE
from steelyard.claims import Claim, Test
from steelyard.evidence import Finding, Records, judge
from steelyard.remember import remembered
from steelyard.web.app.state import state


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
    return _savings(state().records)


@remembered(1)
def _savings(records: Records) -> tuple[Saving, ...]:
    techniques = {group.first.technique for group in records.groups} - {BASELINE}
    saved = []
    for technique in sorted(techniques):
        test = Test(
            of={"technique": technique}, against={"technique": BASELINE}, take="saving", within=(0, None)
        )
        judgement = judge(Claim(id="saving", says=technique, tests=(test,)), records)
        decided = [finding for finding in judgement.findings if finding.value is not None]
        if not decided:
            continue
        # One line of the map names one device and one work, so all its figures have to be of these.
        count = Counter(map(_work, decided))
        work = max(count, key=lambda work: (count[work], work[-1]))
        alike = [finding for finding in decided if _work(finding) == work]
        saved.append(Saving(technique, _one_for_each_precision(alike)))
    return tuple(sorted(saved, key=lambda saving: -max(finding.value or 0 for finding in saving.findings)))


def _one_for_each_precision(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Keep the setup that speaks for the technique: the whole stack, the rank that the others have too."""
    chosen: dict[str, Finding] = {}
    for finding in sorted(findings, key=_standing, reverse=True):
        assert finding.setup
        chosen.setdefault(finding.setup.precision, finding)
    return tuple(chosen[precision] for precision in ("mixed", "bf16") if precision in chosen)


def _standing(finding: Finding) -> tuple[int, ...]:
    assert finding.setup
    step, rank, init = finding.setup.step, finding.setup.rank, finding.setup.init
    return STEPS.index(step) if step else -1, rank or 0, init == "pissa", len(finding.runs)


def _work(finding: Finding) -> tuple[Any, ...]:
    """Return what figures have to share; the last of it says how large the work is."""
    setup = finding.setup
    assert setup
    size = setup.parameters * setup.batch * setup.seq
    return finding.kind, finding.device, setup.model, setup.batch, setup.seq, setup.steps, size
