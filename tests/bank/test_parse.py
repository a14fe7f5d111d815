"""One file to one question: every notation that is accepted, and what is said about one that is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from questions import ANSWER, CHOICES, EXPLANATION, QUESTION, parsed, question_text, told
from steelyard.bank.model import Question
from steelyard.bank.parse import MAX_BYTES, parse, parse_quiz

FILES = Path(__file__).parent / "files"


def read(name: str) -> Question:
    result = parse((FILES / name).read_bytes(), name)
    assert result.question is not None, result.problems
    return result.question


# ---- what is accepted -----------------------------------------------------------------------------------


def test_a_japanese_file_written_by_hand_is_read_whole_and_without_problems():
    question = read("coffee.md")

    assert (question.language, question.title) == ("ja", "珈琲の淹れ方 - 複数選択問題")
    assert question.letters == ("A", "B", "C", "D", "E", "F")
    assert frozenset("ABCDEF") == question.key
    assert (question.type, question.scoring) == ("multiple", "balanced")
    # E and F stand on neighbouring lines: in Markdown's eyes they are one paragraph.
    assert [choice.text.line for choice in question.choices] == [7, 9, 11, 13, 15, 16]
    assert question.choice("F").text.source == "蒸らし（Bloom of Freshly Ground Coffee）"
    assert [part.letter for part in question.explanation] == [None, "A", "B", "C", "D", "E", "F", None]
    assert question.explanation[-1].text.source.startswith("### **組み合わせたとき**")
    assert "### **まとめ**" in question.explanation[-1].text.source
    assert parse((FILES / "coffee.md").read_bytes(), "coffee.md").problems == ()


def test_front_matter_feedback_and_claims_are_read_with_their_lines():
    question = read("rank.en.md")

    assert (question.techniques, question.difficulty, question.tags) == (("lora",), 2, ("memory",))
    assert (question.claims[0].line, question.claims[0].tests[0].line) == (7, 10)
    assert question.choice("A").feedback.source == "Yes."
    assert question.choice("B").feedback.line == 36
    assert question.choice("C").feedback is None
    assert question.choice("B").text.source == "The base model\n\n   With a second paragraph."
    assert question.scoring == "all-or-nothing"


def test_a_task_list_ticks_the_key_and_quotes_the_feedback():
    question = read("tasks.en.md")

    assert frozenset("AC") == question.key
    assert question.choice("B").text.source == "The adapters\n```python\nA. not a choice\n```"
    assert (
        question.choice("B").feedback.source,
        question.choice("B").feedback.line,
    ) == ("They are what is trained.", 13)


@pytest.mark.parametrize("mark", [". ", "． ", ") ", "） ", ": ", "： ", "、 ", "．", "）", "：", "、"])
@pytest.mark.parametrize("letters", ["ABC", "ＡＢＣ"])
@pytest.mark.parametrize("form", ["{}{}x{}", "**{}**{}x{}", "- {}{}x{}", "* **{}**{}x{}"])
def test_a_choice_is_a_letter_and_a_mark_also_full_width_bold_or_bulleted(mark, letters, form):
    lines = "\n".join(form.format(letter, mark, n) for n, letter in enumerate(letters))
    question = parsed(choices=f"## Choices\n{lines}\n").question

    assert question.letters == ("A", "B", "C")
    assert [choice.text.source for choice in question.choices] == ["x0", "x1", "x2"]


def test_a_choice_that_is_bold_as_a_whole_stays_bold():
    question = parsed(choices="## Choices\n**A. yes**\n\n**B. no**\n").question

    assert [choice.text.source for choice in question.choices] == ["**yes**", "**no**"]


def test_choices_are_split_on_lines_whatever_markdown_makes_of_them():
    question = parsed(choices="## Choices\nA. one  \nB. `two\nC. three`\nD. A.I. and more\n").question

    assert [choice.text.source for choice in question.choices] == ["one", "`two", "three`", "A.I. and more"]


def test_blocks_after_a_choice_belong_to_it():
    choices = (
        "## Choices\nA. one\n\n```\nB. code\n```\n\n| B. | x |\n|---|---|\n\n1. first\n2. second\n\nB. two\n"
    )
    question = parsed(choices=choices).question

    assert question.letters == ("A", "B")
    assert question.choice("A").text.source.endswith("2. second")


@pytest.mark.parametrize(
    ("answer", "key"),
    [
        ("A", "A"),
        ("**A, B**", "AB"),
        ("A、B・C", "ABC"),
        ("Ａ，Ｂ", "AB"),
        ("A B C", "ABC"),
        ("A and C", "AC"),
        ("a/c", "AC"),
        ("- A\n- C", "AC"),
        ("all", "ABC"),
        ("**すべて**", "ABC"),
        ("A、B、C（すべて）", "ABC"),
        ("**B. The adapters**", "B"),
        ("A. The base model, C. The optimizer", "AC"),
        ("C: the optimizer", "C"),
        ("B.", "B"),
    ],
)
def test_an_answer_is_letters_however_they_are_separated(answer, key):
    result = parsed(answer=f"## Answer\n{answer}\n")

    assert frozenset(key) == result.question.key
    assert result.problems == ()


def test_the_text_of_a_repeated_choice_may_stop_at_its_bracket():
    choices = "## Choices\nA. LoRA（Low-Rank Adaptation）\nB. Full\n"

    assert parsed(choices=choices, answer="## Answer\n**A. LoRA**\n").problems == ()
    assert parsed(choices=choices, answer="## Answer\nA. LoRA（Low-Rank Adaptation）, B\n").problems == ()


@pytest.mark.parametrize(
    "headings",
    [
        ("Question", "Choices", "Answer", "Explanation"),
        ("**Question**", "Choices:", "**Answer:**", "explanation"),
        ("問題", "選択肢：", "**正解**", "解説 ##"),
        ("問題", "Choices", "正解", "Explanation"),
    ],
)
def test_section_headings_are_english_or_japanese_bold_or_with_a_colon(headings):
    text = question_text()
    for plain, written in zip(("Question", "Choices", "Answer", "Explanation"), headings, strict=True):
        text = text.replace(f"## {plain}\n", f"## {written}\n")

    assert parse(text.encode(), "q.md").question is not None


def test_windows_line_ends_and_a_byte_order_mark_change_nothing():
    plain = (FILES / "rank.en.md").read_bytes()
    odd = b"\xef\xbb\xbf" + plain.replace(b"\n", b"\r\n")

    assert parse(plain, "q.md").question == parse(odd, "q.md").question


def test_a_feedback_ends_at_the_next_heading_of_its_level():
    explanation = "## Explanation\nfirst\n\n### A. x\nfeedback\n\n#### detail\nmore\n\n### Together\nlast\n"
    parts = parsed(explanation=explanation).question.explanation

    assert [(part.letter, part.text.source) for part in parts] == [
        (None, "first"),
        ("A", "feedback\n\n#### detail\nmore"),
        (None, "### Together\nlast"),
    ]


def test_a_link_definition_serves_every_part_of_the_file():
    question = parsed(
        question="## Question\nSee [the paper][p].\n",
        explanation="## Explanation\nx\n\n[p]: https://example.org\n",
    ).question

    assert question.stem.source.endswith("[p]: https://example.org")


def test_a_question_is_stored_whole_and_its_version_is_its_content():
    question = read("rank.en.md")
    again = Question.from_json(question.to_json())

    assert question == again
    assert question.version == again.version
    assert question.version != read("tasks.en.md").version


# ---- what is refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({"title": ""}, ["1:1 E007"]),
        ({"question": ""}, ["15:1 E007"]),
        ({"question": "## Question\n"}, ["3:1 E007"]),
        ({"explanation": ""}, ["15:1 E007"]),
        ({"answer": ""}, ["15:1 E007"]),
        ({"answer": ANSWER + ANSWER}, ["15:1 E008"]),
        ({"title": "# One\n\n# Two\n"}, ["3:1 E008"]),
        ({"title": "# One\n\nlost\n"}, ["3:1 E009"]),
        ({"explanation": EXPLANATION + "\n## More\n"}, ["19:1 E009"]),
        ({"choices": "## Choices\nA. one\n"}, ["7:1 E010"]),
        ({"choices": "## Choices\n"}, ["6:1 E010"]),
        ({"answer": "## Answer\n"}, ["13:1 E011"]),
        ({"answer": "## Answer\nA, G\n"}, ["14:4 E012"]),
        ({"answer": "## Answer\n**A、Ｇ**\n"}, ["14:5 E012"]),
        ({"answer": "## Answer\nA because it is frozen\n"}, ["14:3 E013"]),
        ({"answer": "## Answer\nABC\n"}, ["14:1 E013"]),
        ({"answer": "## Answer\nall, A\n"}, ["14:6 E013"]),
        ({"answer": "## Answer\nA, all\n"}, ["14:4 E013"]),
        ({"choices": "## Choices\n- [x] a\n- [ ] b\n"}, ["10:1 E014"]),
        ({"choices": "## Choices\n- [x] a\n- B. b\n- [ ] c\n", "answer": ""}, ["8:1 E014"]),
        ({"choices": "## Choices\n- [x] a\n- b\n- [ ] c\n", "answer": ""}, ["8:1 E017"]),
        ({"choices": "## Choices\n- [ ] a\n- [ ] b\n", "answer": ""}, ["6:1 E011"]),
        ({"choices": "## Choices\nA. one\n\nC. three\n"}, ["9:1 E016"]),
        ({"choices": "## Choices\nA. one\n\nA. two\n"}, ["9:1 E018"]),
        ({"choices": "## Choices\n1. one\n2. two\n"}, ["6:1 E010", "7:1 E017", "8:1 E017"]),
        ({"choices": "## Choices\n(A) one\n\n(B) two\n"}, ["6:1 E010", "7:1 E017", "9:1 E017"]),
        ({"choices": "## Choices\nA. one\n\n(B) two\n\nC. three\n"}, ["9:1 E017", "11:1 E016"]),
        ({"choices": "## Choices\na. one\nb. two\n"}, ["6:1 E010", "7:1 E017", "8:1 E017"]),
        ({"choices": "## Choices\nPick:\n\nA. one\n\nB. two\n"}, ["7:1 E017"]),
        ({"choices": "## Choices\nA. same\n\nB. Same\n"}, ["9:1 E019"]),
        ({"choices": "## Choices\nA. one\n\nB.\n"}, ["9:1 E019"]),
        ({"choices": "## Choices\nA. one\n\nB. two\n---\n"}, ["10:1 E020"]),
        ({"explanation": "## Explanation\nx\n\n### D. y\nz\n"}, ["19:1 E032"]),
        ({"explanation": "## Explanation\nx\n\n### A. y\nz\n\n### A. y\nz\n"}, ["22:1 E033"]),
        ({"question": QUESTION.replace("## ", "##")}, ["3:1 E034"]),
        ({"answer": ANSWER.replace("## ", "### ")}, ["13:1 E034"]),
        ({"choices": CHOICES.replace("## ", "＃＃ ")}, ["6:1 E034"]),
        ({"front": "type: single", "answer": "## Answer\nA, B\n"}, ["17:1 E015"]),
        ({"explanation": "## Explanation\n### A\n\n### B\nSee.\n"}, ["17:1 E007"]),
        ({"explanation": "## Explanation\n### A\n"}, ["16:1 E007", "17:1 E007"]),
    ],
)
def test_each_problem_is_named_at_its_line(sections, expected):
    result = parsed(**sections)

    assert expected == told(result.problems)
    assert (result.question is None) == bool(expected)


def test_all_problems_of_a_file_are_told_at_once():
    result = parsed(
        front="dificulty: 4\nscoring: best",
        choices="## Choices\nA. one\n\nC. two\n",
        answer="## Answer\nG\n",
        explanation="## Explanation\n### F. x\nNo.\n",
    )

    assert told(result.problems) == ["2:1 E005", "3:10 E006", "13:1 E016", "16:1 E012", "19:1 E032"]


@pytest.mark.parametrize(
    ("front", "expected", "words"),
    [
        ("dificulty: 2", "2:1 E005", 'unknown key "dificulty"; did you mean "difficulty"?'),
        ("difficulty: 4", "2:13 E006", "less than or equal to 3"),
        ("difficulty: hard", "2:13 E006", "integer"),
        ("shuffle: maybe", "2:10 E006", "boolean"),
        ("scoring: balance", "2:10 E006", 'did you mean "balanced"?'),
        ("tags: memory", "2:7 E006", "tags"),
        ("tags: [a", "2:1 E004", "not YAML"),
        ("- a", "2:1 E004", '"key: value" lines'),
        ("tags: &a [x]\nsources: *a", "2:7 E004", "alias"),
        ("<<: {tags: [x]}", "2:1 E004", "a key has to be a word"),
        ("tags: [a]\ntags: [b]", "3:1 E004", "appears twice"),
        ("tags: " + "[" * 40 + "]" * 40, "2:22 E004", "nested more than 16 deep"),
        ("claims: [{id: a, sais: b, says: c}]", "2:18 E005", 'did you mean "says"?'),
        ("claims: [{id: a}]", "2:10 E006", 'a claim needs "says"'),
        ("claims: [{id: A b, says: c}]", "2:15 E006", "id"),
        ("claims: [{id: a, says: b, verdict: true-ish}]", "2:36 E006", "verdict has to be one of"),
        ("claims:\n- id: a\n  says: b\n  tests:\n  - {of: lora}", "6:5 E006", 'a test needs "within"'),
        (
            "claims:\n- id: a\n  says: b\n  tests:\n  - {within: [0, 1]}",
            "6:5 E006",
            "exactly one of of, compute, cite",
        ),
        (
            "claims:\n- {id: a, says: b, tests: [{of: lora, compute: '1', within: [0, 1]}]}",
            "3:28 E006",
            "exactly one",
        ),
        (
            "claims:\n- {id: a, says: b, tests: [{compute: '__import__', within: [0, 1]}]}",
            "3:38 E006",
            "compute",
        ),
        ("claims:\n- {id: a, says: b, tests: [{compute: '1', within: [2, 1]}]}", "3:28 E006", "lower bound"),
        (
            "claims:\n- {id: a, says: b, tests: [{compute: '1', within: [null, null]}]}",
            "3:28 E006",
            "at least one bound",
        ),
        (
            "claims:\n- {id: a, says: b, tests: [{of: lora, take: ratio, within: [0, 1]}]}",
            "3:28 E006",
            "against",
        ),
        (
            "claims:\n- {id: a, says: b, tests: [{cite: X, within: [0, 1]}]}",
            "3:28 E006",
            "cite needs the value",
        ),
        ("claims:\n- {id: a, says: b, line: 4}", "3:20 E005", 'unknown key "line"'),
        ("claims:\n- {id: a, says: b}\n- {id: a, says: c}", "4:8 E036", "a second claim a"),
        ("claims:\n- id: a\n  says: b\n- says: c\n  id: a", "6:7 E036", "a second claim a"),
        ("tags: [a]\nsources: ['x \ufffe']", "3:14 E004", "a character that YAML forbids"),
    ],
)
def test_front_matter_is_refused_at_the_line_and_column_of_what_is_wrong(front, expected, words):
    result = parsed(front=front)

    assert [expected] == told(result.problems)
    assert words in result.problems[0].message
    assert result.question is None


def test_five_hard_claims_can_be_written():
    front = """
claims:
- {id: matrix, says: x, verdict: holds-only-for, only_for: "that matrix's numbers, not memory",
   tests: [{compute: "1 - 16*(4096+4096)/4096**2", within: [0.99, null]},
           {of: lora, against: baseline, take: saving, within: [0.99, null], expect: false}]}
- {id: proportional, says: x, verdict: holds-only-for, only_for: "model states under stage 3",
   tests: [{of: {technique: zero, stage: 3, ranks: 4}, against: {technique: zero, stage: 3, ranks: 1}, take: ratio,
            metric: memory.static_bytes, within: [0.24, 0.26]},
           {of: {technique: zero, stage: 2, ranks: 4}, against: {technique: zero, stage: 2, ranks: 1}, take: ratio,
            metric: memory.static_bytes, within: [0.24, 0.26], expect: false}]}
- {id: fewer, says: x, verdict: holds-only-for, only_for: "half the rank",
   tests: [{of: dora, against: lora, take: ratio, metric: learning.trainable_parameters, within: [null, 0.9999],
            expect: false},
           {cite: "arXiv:2402.09353 Table 1", value: 77.5, within: [74.7, null]}]}
- {id: faster, says: x, verdict: does-not-hold,
   tests: [{of: pissa, against: lora, metric: speed.step_seconds.median, within: [0.3, 0.5], expect: false}]}
- {id: fits, says: x, verdict: does-not-hold,
   tests: [{compute: "175e9*0.5159", within: [null, 24e9], expect: false},
           {of: {technique: qlora, model: gpt3-175b, mode: predicted}, within: [null, 24e9], expect: false}]}
"""
    claims = {claim.id: claim for claim in parsed(front=front.strip()).question.claims}

    assert claims["proportional"].tests[0].of == {"technique": "zero", "stage": 3, "ranks": 4}
    assert claims["faster"].tests[0].take == "saving"
    assert claims["fits"].tests[0].within == (None, 24e9)
    assert claims["fits"].tests[1].metric == "memory.peak_bytes"


@pytest.mark.parametrize(
    ("answer", "warned"),
    [
        ("A, B（すべて）", True),
        ("A, B, C (all)", False),
        ("A, B (3)", True),
        ("A, B（2つ）", False),
        ("A (see §2.1)", False),
    ],
)
def test_a_note_beside_the_answer_is_warned_of_when_it_contradicts(answer, warned):
    result = parsed(answer=f"## Answer\n{answer}\n")

    assert result.question is not None
    assert (["W203"] if warned else []) == [problem.code for problem in result.problems]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "1:1 E007"),
        (b"# T\n\xff\n", "2:1 E002"),
        ("# T\n\n漢\x1b[31m\n".encode(), "3:2 E003"),
        (b"# T\n\x00\n", "2:1 E003"),
        (b"x" * (MAX_BYTES + 1), "1:1 E001"),
        (b"---\ntags: [a]\n# T\n", "1:1 E004"),
    ],
)
def test_what_is_no_text_or_too_large_is_refused_and_nothing_raises(data, expected):
    result = parse(data, "q.md")

    assert result.question is None
    assert expected in told(result.problems)


@given(st.binary(max_size=400))
def test_no_bytes_whatever_make_the_parser_raise(data):
    result = parse(data, "q.md")

    assert result.question is not None or any(problem.is_error for problem in result.problems)
    parse_quiz(data, "_quiz.en.md", "en")


@given(
    st.lists(
        st.sampled_from(
            ["# T", "## Question", "## 選択肢", "## Answer", "## 解説", "A. x", "B. y", "A", "", "---", "> z"]
        ),
        max_size=20,
    )
)
def test_every_order_of_good_lines_gives_a_question_or_an_error_on_a_line_of_the_file(lines):
    result = parse("\n".join(lines).encode(), "q.md")

    assert (result.question is None) == any(problem.is_error for problem in result.problems)
    assert all(1 <= problem.line <= max(1, len(lines)) for problem in result.problems)


@given(st.text(max_size=60), st.text(max_size=60))
def test_the_text_of_a_good_choice_comes_back_as_it_was_written(one, two):
    texts = [" ".join("".join(c for c in text if c.isalnum() or c == " ").split()) for text in (one, two)]
    if not all(texts) or texts[0].casefold() == texts[1].casefold():
        return
    result = parsed(choices=f"## Choices\nA. {texts[0]}\nB. {texts[1]}\n")
    if result.question is None:  # two texts may still be the same to a reader, such as ｘ and x
        assert [problem.code for problem in result.problems] == ["E019"]
    else:
        assert texts == [choice.text.source for choice in result.question.choices]
