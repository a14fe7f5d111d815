"""Evidence cards say how a figure was obtained, and never more than was measured."""

from __future__ import annotations

import re

import pytest
from flask import get_template_attribute
from flask_babel import force_locale

from memlab.results.record import Record
from pages.world import World, visible
from records import make_record
from steelyard.claims import Claim, Test, Verdict
from steelyard.evidence import Judgement, Reason, Records, judge
from steelyard.evidence.reasons import ENGLISH
from steelyard.web.evidence.cards import evidence_cards, weighed_claims
from steelyard.web.text.technique_texts import title, within_a_sentence
from steelyard.web.text.vocabulary import reason_words

pytestmark = pytest.mark.usefixtures("english")

SAVING = Test.model_validate({"of": "lora", "against": "baseline", "within": [0.9, None], "expect": False})


def records(**by: object) -> Records:
    """Return LoRA beside the baseline on one device, three seeds each, the saving growing from seed to seed."""
    found = {}
    for seed in range(3):
        found[f"x/baseline-{seed}"] = make_record("baseline", peak=1000, seed=seed, **by)  # type: ignore[arg-type]
        found[f"x/lora-{seed}"] = make_record("lora", peak=650 - 10 * seed, seed=seed, **by)  # type: ignore[arg-type]
    return Records(found)


def card(claim: Claim, found: Records | None = None) -> str:
    evidence_card = get_template_attribute("_evidence.html", "evidence_card")
    return str(evidence_card(*weighed_claims([judge(claim, found or Records({}))])))


def claim(*tests: object, verdict: Verdict = "does-not-hold", only_for: str | None = None) -> Claim:
    return Claim(
        id="a-claim",
        says="LoRA alone cuts memory by 90 %.",
        verdict=verdict,
        only_for=only_for,
        tests=tuple(Test.model_validate(test) for test in tests),
    )


def test_a_card_has_claim_verdict_number_unit_spread_and_question() -> None:
    words = visible(card(claim(SAVING), records()))
    assert "LoRA alone cuts memory by 90 %." in words
    assert "does not hold" in words
    assert "36.0% less peak memory" in words
    assert "35.0% less to 37.0% less over 3 runs" in words
    assert "Is the saving at least 90.0%? No." in words


def test_a_card_is_drawn_once_for_each_language_place_and_wording(world: World) -> None:
    app = world.app()
    judgement = judge(claim(SAVING), records())

    def drawn(lang: str = "en", prefix: str = "", root: str = "") -> str:
        with app.test_request_context(f"/?lang={lang}", environ_overrides={"SCRIPT_NAME": root}):
            return evidence_cards([judgement], prefix)[0]

    first = drawn()
    assert drawn() is first
    assert drawn("ja") != first
    assert 'id="q1-claim-a-claim"' in drawn(prefix="q1-")
    assert 'href="/quiz/runs/x/lora-0"' in drawn(root="/quiz")
    assert drawn() is first

    world.write("pages/lora.en.md", "# Low rank\n\nTwo thin matrices.\n")
    assert "Low rank against baseline" in visible(drawn())


def test_the_baselines_precision_stands_beside_the_percentage() -> None:
    assert "lora against baseline in mixed precision (fp32 weights, bf16 autocast)" in visible(
        card(claim(SAVING), records())
    )
    assert "lora against baseline in pure bf16" in visible(
        card(claim(SAVING), records(precision="bf16", autocast=None))
    )


def test_a_precision_is_that_of_the_weights_compared_with() -> None:
    """LoRA keeps bf16 weights where full fine-tuning keeps fp32 ones."""
    found = Records({"x/lora": make_record("lora", peak=900), "x/dora": make_record("dora", peak=990)})
    words = visible(card(claim({"of": "dora", "against": "lora", "within": [None, 0]}), found))
    assert "dora against lora in mixed precision (bf16 weights, bf16 autocast)" in words


@pytest.mark.parametrize(
    ("title", "inside"),
    [
        ("Full fine-tuning", "full fine-tuning"),
        ("LoRA", "LoRA"),
        ("PiSSA", "PiSSA"),
        ("Gradient checkpointing", "gradient checkpointing"),
        ("フルファインチューニング", "フルファインチューニング"),
    ],
)
def test_a_title_loses_its_capital_within_a_sentence_and_a_name_keeps_its_own(
    title: str, inside: str
) -> None:
    assert within_a_sentence(title) == inside


def test_a_card_lists_in_what_the_compared_setups_differ() -> None:
    words = visible(card(claim(SAVING), records()))
    assert "base_dtype bfloat16 float32" in words
    assert "rank 16 –" in words
    assert "lr 0.001 0.0001" in words


def test_a_card_links_its_runs_and_gives_the_command() -> None:
    html = card(claim(SAVING), records())
    for run in ("x/lora-0", "x/lora-2", "x/baseline-1"):
        assert f'href="/runs/{run}"' in html
    assert "<code>python demos/lora.py --like demos/results/x/lora-0.json</code>" in html


@pytest.mark.parametrize(
    ("device", "says", "never"),
    [
        ("cpu", "measured on a CPU: Some processor", "GPU"),
        ("cuda", "measured on a GPU: Some processor", "CPU"),
        ("fake", "predicted, without running on any hardware", "measured on"),
    ],
)
def test_the_kind_of_evidence_is_named_and_never_another(device: str, says: str, never: str) -> None:
    words = visible(card(claim(SAVING), records(device=device, device_name="Some processor")))
    assert says in words
    assert never not in words


def test_computed_and_cited_figures_say_so() -> None:
    words = visible(
        card(
            claim(
                {"compute": "1 - 16*(4096+4096)/4096**2", "within": [0.99, None]},
                {"cite": "arXiv:2106.09685 §4.2", "value": 0.708, "within": [0.7, 0.72]},
                verdict="holds",
            )
        )
    )
    assert "0.9922 = 1 - 16*(4096+4096)/4096**2 computed Is it at least 0.99? Yes." in words
    assert "0.708 arXiv:2106.09685 §4.2 cited Is it from 0.7 to 0.72? Yes." in words
    assert "measured" not in words


def test_a_loss_is_not_called_a_saving() -> None:
    found = {
        "x/baseline": make_record("baseline", peak=1000),
        "x/lora": make_record("lora", peak=1083),
    }
    words = visible(card(claim(SAVING), Records(found)))
    assert "8.3% more peak memory" in words
    assert "one run" in words


def test_units_follow_the_metric() -> None:
    metrics = {
        "memory.static_bytes": "400 B memory between two steps",
        "speed.step_seconds.median": "2.00 s time per step",
        "learning.trainable_parameters": "1,000 trainable parameters",
        "learning.eval_loss_after": "2.000 held-out loss after",
    }
    found = records()
    for metric, words in metrics.items():
        test = {"of": "lora", "metric": metric, "within": [0, None]}
        assert words in visible(card(claim(test, verdict="holds"), found))


def learned(*losses: float, lr: float = 3e-4) -> Records:
    """Return LoRA at a held-out loss of 3 and PiSSA at these, one a seed; PiSSA at one more rate."""
    found = {"x/other": at(make_record("pissa", lr=1e-2), 9.0)}
    for seed, loss in enumerate(losses):
        found[f"x/lora-{seed}"] = at(make_record("lora", seed=seed), 3.0)
        found[f"x/pissa-{seed}"] = at(make_record("pissa", seed=seed, lr=lr), loss)
    return Records(found)


def at(record: Record, loss: float) -> Record:
    assert record.learning
    return record.model_copy(
        update={"learning": record.learning.model_copy(update={"eval_loss_after": loss})}
    )


LOWER = {
    "of": "pissa",
    "against": "lora",
    "take": "difference",
    "metric": "learning.eval_loss_after",
    "within": [None, 0],
}


def test_where_seeds_disagree_the_card_names_no_winner() -> None:
    words = visible(card(claim(LOWER), learned(2.98, 2.993, 3.01)))
    assert "no difference found held-out loss after" in words
    assert "−0.007, between −0.020 and +0.010 over 3 runs" in words
    assert "Is it lower? No." in words


def test_where_seeds_agree_the_card_says_by_how_much() -> None:
    words = visible(card(claim(LOWER), learned(2.98, 2.9, 2.95)))
    assert "−0.050 held-out loss after" in words
    assert "−0.100 to −0.020 over 3 runs" in words
    assert "Is it lower? Yes." in words


def test_losses_stand_beside_the_learning_rates_at_which_they_came_about() -> None:
    words = visible(card(claim(LOWER), learned(2.98, 2.9, 2.95)))
    assert "learning rate: 3e-4, of 2 tried; against 1e-3, of 1 tried" in words


def test_a_loss_that_was_never_reached_is_a_bound_on_the_card() -> None:
    def run(technique: str, by: float) -> Record:
        record = make_record(technique, steps=60)
        assert record.learning
        losses = [10 - by * step for step in range(60)]
        return record.model_copy(update={"learning": record.learning.model_copy(update={"losses": losses})})

    found = Records({"x/lora": run("lora", 0.1), "x/pissa": run("pissa", 0.05)})
    asked = {"of": "pissa", "against": "lora", "metric": "steps_to_loss"}
    ratio = visible(card(claim({**asked, "take": "ratio", "within": [None, 1.5]}), found))
    saving = visible(card(claim({**asked, "within": [0.3, None]}), found))

    assert "at least ×1.00 steps to the loss at which the other ended" in ratio
    assert "1 of 1 runs never came to that loss, so only a bound is known" in ratio
    assert "at most 0.0% less" in saving
    assert "Is the saving at least 30.0%? No." in saving


def test_a_loss_at_equal_seconds_is_a_loss_and_no_time() -> None:
    def run(technique: str, loss: float) -> Record:
        record = make_record(technique, steps=20)
        assert record.learning
        return record.model_copy(
            update={"learning": record.learning.model_copy(update={"losses": [loss] * 20})}
        )

    found = Records({"x/lora": run("lora", 3.0), "x/dora": run("dora", 3.125)})
    test = {"of": "dora", "against": "lora", "take": "difference", "metric": "loss_at_equal_seconds"}
    words = visible(card(claim({**test, "within": [0, None]}, verdict="holds"), found))
    assert "+0.125 training loss after equal time" in words
    assert "Is it higher? Yes." in words


def test_a_fraction_says_of_what() -> None:
    test = {
        "of": "lora",
        "take": "fraction",
        "metric": "learning.trainable_parameters",
        "whole": "learning.total_parameters",
        "within": [None, 0.1],
    }
    words = visible(card(claim(test, verdict="holds"), records()))
    assert "0.00074% trainable parameters, as a share of: parameters in all" in words


def test_each_side_says_what_the_test_asks_of_it() -> None:
    test = {
        "of": {"technique": "dora", "rank": 8},
        "against": {"technique": "lora", "rank": 16},
        "within": [0, 1],
    }
    found = Records({"x/dora": make_record("dora", rank=8, peak=500), "x/lora": make_record("lora")})
    assert "dora (rank 8) against lora (rank 16) in mixed" in visible(card(claim(test), found))


@pytest.mark.parametrize("code", ENGLISH)
def test_why_a_test_decides_nothing_is_said_in_every_language(code: str) -> None:
    values = {name: name for name in re.findall(r"{(\w+)}", ENGLISH[code])}
    reason = Reason(code, values)
    english = reason_words(reason, title)
    with force_locale("ja"):
        japanese = reason_words(reason, title)

    assert str(reason)
    assert english.isascii() and not japanese.isascii()
    if code not in ("arithmetic", "noisy"):
        assert all(name in japanese for name in values)


def test_a_claim_that_nothing_decides_is_not_measured_yet_and_says_why() -> None:
    words = visible(
        card(claim({"of": "qlora", "against": "baseline", "within": [0.9, None]}, verdict="holds"))
    )
    assert "not measured yet" in words
    assert "peak memory not measured yet no record of qlora yet" in words


def test_a_claim_without_tests_says_that_nothing_decides_it() -> None:
    assert "No test decides this claim yet." in visible(card(claim(verdict="open")))


def test_the_verdict_names_for_what_it_holds() -> None:
    judged = Judgement(claim(verdict="holds-only-for", only_for="that matrix"), "holds-only-for")
    badge = str(get_template_attribute("_evidence.html", "verdict_badge")(judged))
    assert badge == '<span class="verdict verdict-holds-only-for">holds only for that matrix</span>'


def test_tampering_with_a_record_changes_the_card() -> None:
    before = records()
    tampered = Records({**before.by_id, "x/lora-1": make_record("lora", peak=10, seed=1)})
    assert card(claim(SAVING), before) != card(claim(SAVING), tampered)
