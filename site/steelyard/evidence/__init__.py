"""Records and claims to verdicts: pure functions. A number on a page comes from here, or from nowhere.

How a claim is judged
    Each test comes out true or false by its interval. A claim whose decided tests are all true *holds*; all
    false, it *does not hold*; some of each, it *holds only for* what its author names. With no decided test
    it is *open*: "not measured yet". (`judge`)

What a test can ask for
    The number of a record (a count, bytes, seconds: `take: value`) or its share of another number of the same
    record (`fraction`); of two records that may be compared `saving`, `ratio` or `difference`; arithmetic
    (`compute`); a source (`cite`). Some numbers exist only for two records, see `measures.PAIRED`: steps to a
    loss, and the loss at equal seconds.

Which records a test looks at
    Those that its selection names, with at least the steps that it asks for, and of these the strongest kind:
    measured on a GPU, measured on a CPU, predicted. The planner's predictions (`results/predictions`) are
    asked by a selection with `mode: predicted` and by no other, so that more of them change no verdict.
    Records that differ in nothing but the seed are repeats and give one value, with its spread. When several
    setups qualify (both precisions, say), all must agree, else the test decides nothing.

Which learning rate
    A technique is judged at the rate that suits it. Of repeats that differ in the rate alone, those count
    that have the most seeds (somebody chose that rate, and repeated it), and of these the ones with the
    lowest held-out loss. A test that names a rate gets that one. The finding says which rates there were.

Which records may be compared
    One device, one set of versions, one setup, and for times one kernel (`memlab.results.comparing`). What
    both sides of the test name may differ, and what a technique brings with it. The finding lists it all.

When there is no difference
    Comparisons are made seed by seed. Where three seeds or more disagree about which side is ahead, no
    difference was found, whatever the median says. A test that asks for a difference is then false. One whose
    interval lies around "no difference" is true when it holds every seed, and else decides nothing.
"""

from memlab.results.comparing import Difference, differences
from memlab.results.groups import Group, tuned
from steelyard.evidence.judge import Finding, Judgement, judge
from steelyard.evidence.measures import GPUS, METRICS, PAIRED, metric
from steelyard.evidence.reasons import Reason
from steelyard.evidence.records import SELECTORS, Kind, Records, load, replay

__all__ = [
    "GPUS",
    "METRICS",
    "PAIRED",
    "SELECTORS",
    "Difference",
    "Finding",
    "Group",
    "Judgement",
    "Kind",
    "Reason",
    "Records",
    "differences",
    "judge",
    "load",
    "metric",
    "replay",
    "tuned",
]
