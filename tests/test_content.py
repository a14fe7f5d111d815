"""The project's own questions: complete in both languages, without a problem, and true to the records."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from memlab.results.record import STEPS, Record
from memlab.results.techniques import PLAIN
from steelyard import evidence
from steelyard.bank.load import load
from steelyard.bank.model import Bank
from steelyard.checks import check, contradictions
from steelyard.claims import Test
from steelyard.cli import main
from steelyard.evidence import Records, judge
from steelyard.settings import project_data

SOURCE_CLAIMS = {
    "lora-matrix-99", "qlora-further-75", "gc-50-70", "zero-proportional", "pissa-3-8", "pissa-30-50-faster",
    "dora-fewer", "dora-stable", "lora-alone-90", "qlora-alone-95", "qlora-gc-97", "all-99", "gpt3-350",
    "gpt3-24", "all-six-peft", "combinable",
}  # fmt: skip
ALONE = tuple(technique.name for technique in PLAIN)
SOURCE = "peft/techniques"
QUIZZES = ("peft", "lora", "qlora", "checkpointing", "zero", "pissa", "dora", "memory")
READ = {"table", "chart"}
"""The tags of a question that asks to read what our own records say."""
PREDICT = "predict"
"""The tag of one that asks for a figure before it is shown."""
LOSSES = ("learning", "losses")
RESULTS = project_data() / "demos" / "results"


@pytest.fixture(scope="module")
def bank() -> Bank:
    return load(project_data() / "questions")


def test_the_projects_questions_have_no_problem(bank):
    assert check(bank, evidence.load(RESULTS)) == ()


def test_every_question_is_there_in_english_and_japanese_with_feedback_for_every_choice(bank):
    for id, twins in bank.questions.items():
        assert {"en", "ja"} == set(twins), id
        for question in twins.values():
            assert all(choice.feedback for choice in question.choices), question.path
            assert question.sources, question.path


def test_there_are_sixty_questions_in_eight_quizzes_and_none_of_them_is_a_stub(bank):
    sizes = {slug: len(quiz.questions) for slug, quiz in bank.quizzes.items()}

    assert tuple(bank.quizzes) == QUIZZES
    assert sum(sizes.values()) == len(bank.questions) >= 60
    assert min(sizes.values()) >= 7, sizes


def test_every_difficulty_is_there_in_every_quiz_and_about_as_often_as_the_others(bank):
    asked = {id: twins["en"].difficulty for id, twins in bank.questions.items()}
    for slug, quiz in bank.quizzes.items():
        assert {asked[id] for id in quiz.questions} == {1, 2, 3}, slug
    counts = Counter(asked.values())

    assert min(counts.values()) >= len(asked) / 4, counts


def test_about_as_many_questions_have_one_right_answer_as_several(bank):
    kinds = Counter(twins["en"].type for twins in bank.questions.values())

    assert min(kinds["single"], kinds["multiple"]) >= 0.4 * len(bank.questions), kinds
    for slug, quiz in bank.quizzes.items():
        assert {bank.questions[id]["en"].type for id in quiz.questions} == {"single", "multiple"}, slug


def test_ten_questions_or_more_ask_to_read_our_records_or_to_predict_a_figure(bank):
    """One that reads shows a table or a chart in its stem, and a record or a computation decides each."""
    asking = [
        question
        for twins in bank.questions.values()
        for question in twins.values()
        if {*twins["en"].tags} & {*READ, PREDICT}
    ]
    for question in asking:
        tags = {*bank.questions[question.id]["en"].tags}
        shown = re.search(r"^\|[-:| ]+\|$|!\[", question.stem.source, flags=re.MULTILINE)
        tests = [test for claim in bank.questions[question.id]["en"].claims for test in claim.tests]

        assert shown or not tags & READ, question.path
        assert any(test.of or test.compute for test in tests), question.path

    assert len({question.id for question in asking}) >= 10


def test_every_question_weighs_something_and_links_each_of_its_claims(bank):
    """A claim that no text links to would be weighed for nobody."""
    for twins in bank.questions.values():
        for question in twins.values():
            text = "".join(part.text.source for part in question.explanation)

            assert question.claims, question.path
            for claim in question.claims:
                assert f"](#{claim.id})" in text, f"{question.path}: {claim.id}"


def test_the_source_question_judges_its_sixteen_claims_and_every_choice_is_right(bank):
    for question in bank.questions["peft/techniques"].values():
        assert "ABCDEF" == "".join(question.letters) == "".join(sorted(question.key))
        assert {claim.id for claim in question.claims} >= SOURCE_CLAIMS


def test_records_say_what_every_technique_weighs_on_the_real_model(published):
    """In both precisions, step by step, and for every stage of ZeRO on one, two and four ranks."""
    real = [one.first for one in published.groups if one.first.setup.model == "SmolLM2-135M-Instruct"]
    setups = {(one.technique, one.setup.precision) for one in real}
    steps = {one.setup.step for one in real if one.technique == "stack"}
    shards = {(one.setup.stage, one.setup.ranks) for one in real if one.technique == "zero"}

    assert setups >= {(name, precision) for name in ALONE for precision in ("mixed", "bf16")}
    assert steps >= {*STEPS} - {"offload"}  # which has nothing to do on a CPU
    assert shards >= {(stage, ranks) for stage in range(4) for ranks in (1, 2, 4)}


@pytest.fixture(scope="module")
def published() -> Records:
    return evidence.load(RESULTS)


def lines_of(bank: Bank, records: Records, id: str) -> list[str]:
    """Return the first words of the lines at which the check says E040 of a claim of the source."""
    path = project_data() / "questions" / f"{SOURCE}.en.md"
    lines = path.read_text(encoding="utf-8").split("\n")
    found = contradictions(bank, records)
    return [
        lines[problem.line - 1].strip()
        for problem in found
        if problem.path.endswith(f"{SOURCE}.en.md") and f"claim {id} " in problem.message
    ]


@pytest.mark.parametrize("id", sorted(SOURCE_CLAIMS))
def test_a_deciding_record_or_figure_that_is_tampered_with_is_told_of_at_the_claims_own_line(
    bank, published, id
):
    """A claim that records decide is tampered with by its records; one that none decides, by its figures."""
    claim = bank.questions[SOURCE]["en"].claim(id)
    found = [finding for finding in judge(claim, published).findings if finding.within is not None]
    by_record = [
        [finding for finding in found if finding.test == test and finding.runs] for test in claim.tests
    ]
    if any(by_record):
        worlds = [
            (
                bank,
                with_other_numbers(published, {run: by(one) for one in of_test for run in one.runs}, of_test),
            )
            for of_test in filter(None, by_record)
            for by in (lambda one: 1e-3, lambda one: 1e3, factor)
        ]
    else:
        worlds = [(with_other_figures(bank, id), published)]

    assert lines_of(bank, published, id) == []
    assert [f"- id: {id}"] in [lines_of(*world, id) for world in worlds]


def factor(finding: evidence.Finding) -> float:
    """Return by what to multiply a number so that a saving or a ratio comes out the other way."""
    wanted, value = other(finding.test), finding.value
    return (1 - wanted) / (1 - value) if finding.test.take == "saving" else wanted / value


def with_other_numbers(records: Records, factors: dict[str, float], of: list[evidence.Finding]) -> Records:
    """Return the records with the number that a test asks for multiplied in these runs."""
    known = {**records.by_id, **records.predictions}
    test = of[0].test
    for run, factor in factors.items():
        content = json.loads(known[run].to_text())
        *path, name = LOSSES if test.metric in evidence.PAIRED else test.metric.split(".")
        part = content
        for step in path:
            part = part[step]
        names = set(part) if name == "total" else {name}
        part |= {name: multiplied(part[name], factor) for name in names}
        memory = content["memory"]
        memory["ledger_peak_bytes"] = sum(memory["breakdown_at_peak"].values())
        known[run] = Record.model_validate_json(json.dumps(content))
    return Records(
        {run: known[run] for run in records.by_id},
        predictions={run: known[run] for run in records.predictions},
    )


def multiplied(value: Any, factor: float) -> Any:
    if isinstance(value, list):
        return [one * factor for one in value]
    return int(value * factor) if isinstance(value, int) else value * factor


def with_other_figures(bank: Bank, id: str) -> Bank:
    """Return the bank with figures in the tests of a claim of the source that come out the other way."""
    twins = dict(bank.questions[SOURCE])
    question = twins["en"]
    tests = tuple(
        test.model_copy(update={"compute": f"{other(test)}"} if test.compute else {"value": other(test)})
        for test in question.claim(id).tests
        if not test.of
    )
    claims = tuple(
        claim.model_copy(update={"tests": tests}) if claim.id == id else claim for claim in question.claims
    )
    twins["en"] = replace(question, claims=claims)
    return replace(bank, questions={**bank.questions, SOURCE: twins})


def other(test: Test) -> float:
    """Return a figure that lies within the test's interval where none should, and beyond it where one should."""
    low, high = test.within
    if not test.expect:
        return low + (high - low) / 2 if None not in (low, high) else low if high is None else high
    return high + 1 if high is not None else low - 1


def test_make_check_fails_at_the_claim_when_a_record_on_the_disk_is_tampered_with(tmp_path, monkeypatch):
    shutil.copytree(RESULTS, tmp_path / "results")
    for path in (tmp_path / "results").rglob("lora-*.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        content["memory"]["peak_bytes"] = 1
        path.write_text(json.dumps(content), encoding="utf-8")
    monkeypatch.setenv("STEELYARD_RESULTS", str(tmp_path / "results"))
    result = CliRunner().invoke(main, ["check"])

    assert result.exit_code == 1
    assert re.search(r"peft/techniques\.en\.md:\d+:\d+ E040 claim lora-alone-90 ", result.stdout)


def test_every_verdict_on_a_technique_page_belongs_to_a_claim_of_its_questions(bank):
    known = {claim.id for twins in bank.questions.values() for q in twins.values() for claim in q.claims}
    pages = sorted((project_data() / "demos" / "pages").glob("*.md"))

    assert {"lora.en.md", "lora.ja.md", "baseline.en.md", "baseline.ja.md"} <= {page.name for page in pages}
    for page in pages:
        for id in re.findall(r"\]\(#([a-z0-9-]+)\)", Path(page).read_text(encoding="utf-8")):
            assert id in known, f"{page.name} links to the claim {id}"
