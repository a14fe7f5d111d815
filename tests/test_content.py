"""The project's own questions: complete in both languages, without a problem, and true to the records."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from memlab.record import read
from steelyard import evidence
from steelyard.bank.checks import check
from steelyard.bank.load import load
from steelyard.bank.model import Bank
from steelyard.settings import project_data

SOURCE_CLAIMS = {
    "lora-matrix-99", "qlora-further-75", "gc-50-70", "zero-proportional", "pissa-3-8", "pissa-30-50-faster",
    "dora-fewer", "dora-stable", "lora-alone-90", "qlora-alone-95", "qlora-gc-97", "all-99", "gpt3-350",
    "gpt3-24", "all-six-peft", "combinable",
}  # fmt: skip
RESULTS = project_data() / "demos" / "results"


@pytest.fixture(scope="module")
def bank() -> Bank:
    return load(project_data() / "questions")


def test_the_projects_questions_have_no_problem(bank):
    assert check(bank, evidence.load(RESULTS)) == ()


def test_every_question_is_there_in_english_and_japanese_with_feedback_for_every_choice(bank):
    assert len(bank.questions) >= 6
    for id, twins in bank.questions.items():
        assert {"en", "ja"} == set(twins), id
        for question in twins.values():
            assert all(choice.feedback for choice in question.choices), question.path
            assert question.sources, question.path


def test_the_source_question_judges_its_sixteen_claims_and_every_choice_is_right(bank):
    for question in bank.questions["peft/techniques"].values():
        assert "ABCDEF" == "".join(question.letters) == "".join(sorted(question.key))
        assert {claim.id for claim in question.claims} >= SOURCE_CLAIMS


def test_records_say_how_full_fine_tuning_and_lora_weigh_in_both_precisions_three_times_each():
    groups = evidence.load(RESULTS).groups
    found = {
        (group.first.technique, group.first.setup.precision): len(group.runs)
        for group in groups
        if group.kind == "cpu" and group.first.setup.model == "SmolLM2-135M-Instruct"
    }

    for technique in ("baseline", "lora"):
        for precision in ("mixed", "bf16"):
            assert found[technique, precision] >= 3


def test_a_record_that_is_tampered_with_contradicts_a_question_at_the_claims_own_line(bank, tmp_path):
    shutil.copytree(RESULTS, tmp_path / "results")
    for path in (tmp_path / "results").rglob("lora-*.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        memory = content["memory"]
        memory["peak_bytes"] = memory["ledger_peak_bytes"] = 1
        memory["breakdown_at_peak"] = dict.fromkeys(memory["breakdown_at_peak"], 0) | {"weights": 1}
        path.write_text(json.dumps(content), encoding="utf-8")
        assert read(path).memory.peak_bytes == 1
    problems = [p for p in check(bank, evidence.load(tmp_path / "results")) if p.code == "E040"]
    (told,) = (p for p in problems if p.path.endswith("techniques.en.md") and "lora-alone-90" in p.message)
    lines = (
        (project_data() / "questions" / "peft" / "techniques.en.md").read_text(encoding="utf-8").split("\n")
    )

    assert "id: lora-alone-90" in lines[told.line - 1]


def test_every_verdict_on_a_technique_page_belongs_to_a_claim_of_its_questions(bank):
    known = {claim.id for twins in bank.questions.values() for q in twins.values() for claim in q.claims}
    pages = sorted((project_data() / "demos" / "pages").glob("*.md"))

    assert {"lora.en.md", "lora.ja.md", "baseline.en.md", "baseline.ja.md"} <= {page.name for page in pages}
    for page in pages:
        for id in re.findall(r"\]\(#([a-z0-9-]+)\)", Path(page).read_text(encoding="utf-8")):
            assert id in known, f"{page.name} links to the claim {id}"
