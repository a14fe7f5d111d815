"""The rules that look beyond one file."""

from __future__ import annotations

import pytest

from questions import question_text
from records import make_record
from steelyard import checks
from steelyard.bank import prose
from steelyard.bank.codes import CODES
from steelyard.bank.load import load
from steelyard.checks import check
from steelyard.evidence import Records

NONE = Records({})


@pytest.fixture
def problems(tmp_path):
    """Write files and return what the check says of them: `name:line:column CODE message`."""

    def run(files: dict[str, str], records: Records = NONE) -> list[str]:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text, encoding="utf-8")
        return [str(problem) for problem in check(load(tmp_path, shown=""), records)]

    return run


def explained(text: str, front: str = "") -> dict[str, str]:
    return {"q.md": question_text(front=front, explanation=f"## Explanation\n{text}\n")}


HALF = "claims: [{id: half, says: x, verdict: holds, tests: [{compute: '1/2', within: [0.5, 0.5]}]}]"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It saves 75 % of it.", ['q.md:17:10 W201 "75 %" is not weighed: link it to a claim']),
        ("a\nb 3× c", ['q.md:18:3 W201 "3×" is not weighed: link it to a claim']),
        ("[99％](https://example.org)", ['q.md:17:2 W201 "99％" is not weighed: link it to a claim']),
        ("約3倍、24GBで", ["q.md:17:2 W201", "q.md:17:5 W201"]),
        ("**50**–70% or 10 times", ["q.md:17:3 W201", "q.md:17:15 W201"]),
        ("| a |\n|---|\n| 3 GiB |", ["q.md:19:3 W201"]),
        ("`99 %`, $99\\%$, 4096×4096, 2024, GPT-3 and A100", []),
    ],
)
def test_a_number_in_the_prose_that_no_claim_weighs_is_warned_of(problems, text, expected):
    found = problems(explained(text))

    assert len(expected) == len(found)
    assert all(line.startswith(start) for line, start in zip(found, expected, strict=True))


def test_a_number_linked_to_a_claim_is_weighed_and_stem_and_choices_may_ask_freely(problems):
    files = explained("So [half, 50 %](#half).", front=HALF)
    files["q.md"] = files["q.md"].replace("is frozen?", "saves 90 %?").replace("The adapters", "All 3 GB")

    assert problems(files) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[x](#hafl)", 'q.md:20:1 E035 there is no claim "hafl"; did you mean "half"?'),
        ("[x](gone.md)", 'q.md:20:1 E031 the link "gone.md" leads nowhere'),
        ("a\n\nb ![x](gone.png)", 'q.md:22:3 E031 the image "gone.png" leads nowhere'),
        ("[x](../../etc/hosts)", 'q.md:20:1 E031 the link "../../etc/hosts" leads nowhere'),
        ("[x](q.md) [y](/techniques) [z](https://example.org/a.md) <https://example.org>", None),
        ("a <b>c</b> and <iframe src=x>", "q.md:20:16 E037 the page drops the HTML element <iframe>: write Markdown instead"),
        ("a <b style=x>c</b>", 'q.md:20:3 E037 the page drops the HTML attribute "style"'),
        ("<script>\nalert(1)\n</script>", "q.md:20:1 E037 the page drops the HTML element <script>: write Markdown instead"),
    ],
)  # fmt: skip
def test_dead_links_and_dropped_html_are_named_at_their_place(problems, text, expected):
    assert ([expected] if expected else []) == problems(explained(text, front=HALF))


def test_dead_links_are_found_in_stem_choices_and_feedback_too(problems):
    text = question_text(
        question="## Question\n![a](a.png)\n",
        choices="## Choices\n- [x] ![b](b.png)\n- [ ] two\n  > ![c](c.png)\n",
        answer="",
    )

    assert [line[:13] for line in problems({"q.md": text})] == [
        "q.md:4:1 E031",
        "q.md:7:1 E031",
        "q.md:9:1 E031",
    ]


def test_an_unknown_technique_is_named_where_it_stands(problems):
    front = (
        "techniques: [lorra]\nclaims:\n- id: a\n  says: x\n  tests:\n  - {of: qlora2, rnk: 2, within: [0, 1]}"
    )
    found = problems(explained("x", front=front.replace(", rnk: 2", "")))

    assert 'q.md:2:14 E030 unknown technique "lorra"; did you mean "lora"?' in found
    assert 'q.md:7:10 E030 unknown technique "qlora2"; did you mean "qlora"?' in found


def test_a_field_by_which_no_record_can_be_selected_is_named(problems):
    front = "claims:\n- id: a\n  says: x\n  tests:\n  - {of: {technique: lora, rnak: 2}, within: [0, 1]}"

    assert 'q.md:6:28 E006 a record cannot be selected by "rnak"; did you mean "rank"?' in problems(
        explained("x", front=front)
    )


def test_every_problem_of_a_front_matter_stands_where_its_value_does(problems):
    front = """\
difficulty: 1
techniques:
  - lora
  - lorra
claims:
- says: x
  id: b
  verdict: holds-only-for
  only_for: all
  tests:
  - of:
      technique: lora
      rnak: 2
    against: {technique: baselin, batch: 4}
    take: saving
    metric: memory.peak_byte
    within: [0, 1]
- id: a
  says: x
  verdict: holds-only-for
  tests:
  - {of: lora, against: baseline, take: saving, within: [0, 1]}
  - {of: lora, take: fraction, whole: nothing, within: [0, 1]}
  - {of: lora, metric: steps_to_loss, within: [0, 1]}
"""
    found = problems(explained("x", front=front.rstrip()))

    assert [" ".join(line.split()[:2]) for line in found if " E" in line] == [
        "q.md:5:5 E030",
        "q.md:12:3 E006",
        "q.md:14:7 E006",
        "q.md:15:26 E030",
        "q.md:17:13 E006",
        "q.md:19:3 E006",
        "q.md:23:3 E006",
        "q.md:24:39 E006",
        "q.md:25:24 E006",
    ]


def test_a_value_that_another_language_gives_is_a_problem_of_the_file_that_gives_it(problems):
    front = "techniques: [lora, lorra]\nclaims: [{id: a, says: x, tests: [{of: lroa, within: [0, 1]}]}]"
    texts = {
        "q.en.md": question_text(front="claims: [{id: a, says: x}]"),
        "q.ja.md": question_text(front=front),
    }
    found = [problem for problem in problems(texts) if "E030" in problem]

    assert [problem.split()[0] for problem in found] == ["q.ja.md:2:20", "q.ja.md:3:40"]


def test_a_claim_that_the_records_contradict_is_an_error_in_one_language(problems):
    claim = (
        "claims:\n- id: a\n  says: x\n  verdict: holds\n"
        "  tests: [{of: lora, against: baseline, take: saving, within: [0.9, null]}]"
    )
    lora, baseline = make_record("lora", peak=750), make_record("baseline", peak=1000)
    text = question_text(front=claim)
    found = problems({"q.en.md": text, "q.ja.md": text}, Records({lora.slug: lora, baseline.slug: baseline}))

    assert found == ['q.en.md:3:3 E040 claim a teaches "holds", the evidence says "does not hold"']


@pytest.mark.parametrize("taught", ["holds", "open"])
def test_a_claim_that_nothing_decides_is_listed_with_the_reason(problems, taught):
    claim = f"claims:\n- id: a\n  says: x\n  verdict: {taught}\n  tests: [{{of: lora, within: [1, null]}}]"

    assert problems(explained("x", front=claim)) == [
        "q.md:3:3 W202 nothing decides claim a yet: no record of lora"
    ]


def test_setups_that_disagree_are_given_as_the_reason(problems):
    claim = "claims:\n- id: a\n  says: x\n  verdict: holds\n  tests: [{of: lora, within: [null, 800]}]"
    given = [make_record("lora", peak=750), make_record("lora", peak=900, batch=8)]

    assert problems(explained("x", front=claim), Records({record.slug: record for record in given})) == [
        "q.md:3:3 W202 nothing decides claim a yet: it comes out differently in different setups: "
        "let the test choose one"
    ]


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ("{of: lora, metric: memory.peak_byte, within: [0, 1]}", 'E006 no record has a number "memory.peak_byte"; did you mean "memory.peak_bytes"?'),
        ("{of: lora, take: fraction, whole: steps_to_loss, within: [0, 1]}", 'E006 no record has a number "steps_to_loss"'),
        ("{of: lora, metric: steps_to_loss, within: [0, 1]}", "E006 steps_to_loss is a number of two runs: say against what"),
        ("{of: lora, take: fraction, within: [0, 1]}", "E006 take: fraction needs whole, and whole goes only with it"),
        ("{of: lora, take: difference, within: [0, 1]}", "E006 take: saving, ratio and difference go with against, take: value and fraction without"),
    ],
)  # fmt: skip
def test_what_a_test_cannot_ask_for_is_named_at_its_line(problems, test, expected):
    front = f"claims:\n- id: a\n  says: x\n  tests:\n  - {test}"

    assert (
        [line for line in problems(explained("x", front=front)) if line.split(" ")[1] == "E006"]
        == [
            line
            for line in problems(explained("x", front=front))
            if expected in line and line.startswith("q.md:6:")
        ]
        != []
    )


def test_what_a_test_cannot_ask_for_is_named_in_the_file_that_asks_and_in_no_translation(problems):
    front = "claims:\n- id: a\n  says: x\n  tests:\n  - {of: lora, metric: memory.peak_byte, within: [0, 1]}"
    texts = {
        "q.en.md": question_text(front=front),
        "q.ja.md": question_text(front="claims: [{id: a, says: y}]"),
    }
    found = [problem for problem in problems(texts) if "E006" in problem]

    assert [problem.split()[0] for problem in found] == ["q.en.md:6:24"]


def test_what_holds_only_for_something_says_for_what_and_tests_both_outcomes(problems):
    claim = HALF.replace("holds", "holds-only-for")
    found = problems(explained("x", front=claim))

    assert "q.md:2:10 E006 claim half holds only for something: say in only_for for what" in found
    assert [line for line in found if "needs a test that holds and one that does not" in line]


def test_a_question_that_is_missing_in_a_language_of_the_bank_is_warned_of(problems):
    found = problems(
        {
            "a.en.md": question_text(),
            "a.ja.md": question_text(),
            "b.en.md": question_text(question="## Question\nx\n"),
        }
    )

    assert found == ["b.en.md:1:1 W204 the question is missing in ja, which other questions have"]


def test_the_same_question_twice_is_an_error_whatever_the_order_of_its_choices(problems):
    other = question_text(
        choices="## Choices\nA. The optimizer\nB. The **base** model\nC. The adapters\n",
        answer="## Answer\nB\n",
    )

    assert problems({"a.md": question_text(), "b.md": other}) == [
        "b.md:4:1 E024 a.md asks the same with the same choices"
    ]


def series(count: int, key: str, length: int) -> dict[str, str]:
    """Return questions whose right answer has one letter, or is the longest choice."""
    files = {}
    for n in range(count):
        right = key[n % len(key)]
        texts = {letter: f"{letter} {n}" + "x" * (length if letter == right else 3) for letter in "ABCD"}
        choices = "## Choices\n" + "\n".join(f"{letter}. {text}" for letter, text in texts.items()) + "\n"
        files[f"quiz/q{n}.md"] = question_text(
            question=f"## Question\nNo. {n}?\n", choices=choices, answer=f"## Answer\n{right}\n"
        )
    return files


def test_right_answers_that_stand_in_one_position_too_often_are_warned_of(problems):
    assert problems(series(8, "B", 1)) == [
        "quiz/q0.md:1:1 W205 in quiz quiz the right answer is B in 8 of 8 questions with one key"
    ]


def test_right_answers_that_are_too_often_the_longest_are_warned_of(problems):
    assert problems(series(8, "ABCD", 9)) == [
        "quiz/q0.md:1:1 W206 in quiz quiz the right answer is the longest choice in 8 of 8 questions with one key"
    ]


def test_what_chance_brings_about_is_not_warned_of(problems):
    assert problems(series(8, "ABCD", 1)) == []


def test_problems_come_in_the_order_of_files_and_lines_with_codes_that_exist(problems, tmp_path):
    found = problems(
        {"b.md": question_text(answer="## Answer\nG\n"), "a.md": question_text(front="x: 1\ny: 2")}
    )

    assert [line.split(" ")[0] for line in found] == ["a.md:2:1", "a.md:3:1", "b.md:14:1"]
    assert all(line.split(" ")[1] in CODES for line in found)


def test_what_is_raised_while_a_question_is_checked_is_a_problem_of_its_file(problems, monkeypatch):
    def scan(text):
        if "fatal" in text.source:
            raise RecursionError
        return prose.scan(text)

    monkeypatch.setattr(checks, "scan", scan)
    files = {
        "a.md": question_text(question="## Question\nfatal\n"),
        "b.md": question_text(explanation="## Explanation\nIt saves 75 %.\n"),
    }
    told = problems(files)

    assert [" ".join(line.split()[:2]) for line in told] == ["a.md:1:1 E060", "b.md:17:10 W201"]


def test_what_is_raised_while_evidence_is_weighed_stops_no_other_question(problems, tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "judge", lambda claim, records: 1 // 0)
    files = {"a.md": question_text(front=HALF), **explained("It saves 75 %.")}
    told = problems(files)
    codes = [problem.code for problem in checks.contradictions(load(tmp_path), NONE)]

    assert [" ".join(line.split()[:2]) for line in told] == [
        "a.md:1:1 E060",
        "q.md:4:1 E024",
        "q.md:17:10 W201",
    ]
    assert codes == ["E060"]
