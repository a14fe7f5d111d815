"""A folder becomes a bank: ids, languages, quizzes, and bad files that hide nothing."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest

from questions import question_text, told
from steelyard.bank import exam_memory
from steelyard.bank import load as load_module
from steelyard.bank.load import Loader, load
from steelyard.bank.model import ROOT_QUIZ, Question
from steelyard.checks import check
from steelyard.evidence import Records
from steelyard.problems import Problem

JAPANESE = (
    question_text()
    .replace("## Question", "## 問題")
    .replace("## Choices", "## 選択肢")
    .replace("## Answer", "## 正解")
)
CLAIM = "claims: [{id: half, says: Half., verdict: holds, tests: [{compute: '1/2', within: [0.5, 0.5]}]}]"


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "questions"

    def write(name: str, text: str | bytes = question_text()) -> None:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

    root.mkdir()
    write.root = root
    return write


def test_a_path_without_suffix_is_the_id_and_the_suffix_is_the_language(folder):
    folder("lora/rank.en.md")
    folder("lora/rank.ja.md")
    folder("plain.md", JAPANESE)
    bank = load(folder.root)

    assert {id: sorted(v) for id, v in bank.questions.items()} == {"lora/rank": ["en", "ja"], "plain": ["ja"]}
    assert bank.question("lora/rank", "ja").path == "questions/lora/rank.ja.md"
    assert bank.question("lora/rank", "fr").language == "en"
    assert bank.question("plain", "en").language == "ja"
    assert bank.question("nothing", "en") is None


def test_a_bad_file_never_hides_the_good_ones_and_is_named_in_its_place(folder):
    folder("lora/rank.en.md", question_text(answer="## Answer\nG\n"))
    folder("lora/rank.ja.md")
    folder("lora/other.en.md")
    bank = load(folder.root)

    assert list(bank.questions["lora/rank"]) == ["ja"]
    assert "lora/other" in bank.questions
    assert told(bank.broken["lora/rank"]) == ["14:1 E012"]
    assert bank.broken["lora/rank"] == bank.problems


def test_a_folder_is_a_quiz_with_title_introduction_and_order(folder):
    for name in ("a", "b", "c"):
        folder(f"lora/{name}.en.md")
    folder("lora/_quiz.en.md", "---\norder: [c, gone, a]\n---\n# About LoRA\n\nRead first.\n")
    folder("lora/_quiz.ja.md", "# LoRAについて\n")
    folder("top.en.md")
    bank = load(folder.root)
    quiz = bank.quizzes["lora"]

    assert quiz.questions == ("lora/c", "lora/a", "lora/b")
    assert tuple(map(quiz.title, ("en", "ja", "fr"))) == ("About LoRA", "LoRAについて", "About LoRA")
    assert (quiz.introduction("en").source, quiz.introduction("en").line) == ("Read first.", 6)
    assert bank.quizzes[ROOT_QUIZ].questions == ("top",)
    assert told(bank.problems) == ["2:12 E025"]


def test_languages_complete_each_other(folder):
    folder("q.en.md", question_text(front=f"scoring: coverage\ntechniques: [lora]\ntags: [a]\n{CLAIM}"))
    folder("q.ja.md", question_text(front="tags: [b]\nclaims: [{id: half, says: 半分。}]"))
    bank = load(folder.root)
    ja = bank.question("q", "ja")

    assert bank.problems == ()
    assert (ja.scoring, ja.techniques, ja.tags) == ("coverage", ("lora",), ("b",))
    assert (ja.claim("half").says, ja.claim("half").verdict) == ("半分。", "holds")
    assert ja.claim("half").tests == bank.question("q", "en").claim("half").tests


@pytest.mark.parametrize(
    ("english", "expected"),
    [
        ({"answer": "## Answer\nA, C\n"}, "14:1 E021 keys differ between languages: en says A, C; ja says A"),
        ({"choices": "## Choices\nA. one\nB. two\n"}, "7:1 E022 en has 2 choices, ja has 3"),
    ],
)
def test_a_language_with_another_key_or_other_choices_is_left_out(folder, english, expected):
    folder("q.en.md", question_text(**english))
    folder("q.ja.md")
    bank = load(folder.root)

    assert [f"questions/q.ja.md:{expected}"] == [str(problem) for problem in bank.problems]
    assert list(bank.questions["q"]) == ["en"]
    assert bank.broken["q"] == bank.problems


@pytest.mark.parametrize(
    ("english", "japanese", "expected"),
    [
        (
            {"front": "difficulty: 1"},
            {"front": "difficulty: 2"},
            "2:13 E022 difficulty differs between languages: en says 1; ja says 2",
        ),
        (
            {"front": CLAIM},
            {"front": CLAIM.replace("holds", "open")},
            "2:43 E022 in claim half the verdict differs",
        ),
        (
            {"front": CLAIM},
            {"front": CLAIM.replace("1/2", "2/4")},
            "2:57 E022 in claim half the tests differ",
        ),
        ({"front": CLAIM}, {}, "1:1 E022 claim half is missing in this language"),
        (
            {"front": CLAIM},
            {"front": "tags: [a]\nclaims: []"},
            "3:9 E022 claim half is missing in this language",
        ),
        (
            {"front": "techniques: [lora]\nshuffle: true"},
            {"front": "shuffle: true\ntechniques:\n  - dora"},
            "4:3 E022 techniques differs between languages: en says lora; ja says dora",
        ),
    ],
)
def test_languages_that_disagree_are_told_apart(folder, english, japanese, expected):
    folder("q.en.md", question_text(**english))
    folder("q.ja.md", question_text(**japanese))
    bank = load(folder.root)

    assert [f"questions/q.ja.md:{expected}"] == [str(p)[: len(expected) + 18] for p in bank.problems]
    assert list(bank.questions["q"]) == ["en", "ja"]


def test_one_question_given_twice_in_a_language_and_an_unknown_language_are_refused(folder):
    folder("q.en.md")
    folder("q.md")
    folder("p.xx.md")
    bank = load(folder.root)

    assert [f"{p.path} {p.code}" for p in bank.problems] == ["questions/p.xx.md E026", "questions/q.md E023"]
    assert list(bank.questions) == ["q"]


def test_what_is_no_question_is_passed_over(folder):
    for name in ("README.md", "lora/readme.md", ".hidden.md", ".git/x.md", "notes.txt", "q.md~"):
        folder(name, "no question")

    assert load(folder.root).problems == ()


def test_links_out_of_the_folder_are_ignored_and_links_within_it_are_followed(folder, tmp_path):
    folder("q.en.md")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.en.md").write_text(question_text())
    (folder.root / "leak.en.md").symlink_to(tmp_path / "outside" / "secret.en.md")
    (folder.root / "folder").symlink_to(tmp_path / "outside")
    (folder.root / "twin.en.md").symlink_to(folder.root / "q.en.md")
    (folder.root / "dangling.en.md").symlink_to(folder.root / "gone")

    assert list(load(folder.root).questions) == ["q", "twin"]


def test_a_name_that_no_address_can_hold_is_read_all_the_same(folder):
    (folder.root / os.fsdecode(b"odd\xff\n.en.md")).write_text(question_text(), encoding="utf-8")
    bank = load(folder.root)

    assert list(bank.questions) == ["odd\ufffd\ufffd"]
    assert bank.question("odd\ufffd\ufffd", "en").path == "questions/odd\ufffd\ufffd.en.md"


def test_a_folder_that_is_not_there_is_an_empty_bank(tmp_path):
    bank = load(tmp_path / "nowhere")

    assert (bank.questions, bank.problems) == ({}, ())


def test_only_changed_files_are_parsed_again(folder, monkeypatch):
    parsed = []
    real = load_module.parse
    monkeypatch.setattr(
        load_module, "parse", lambda data, path, *rest: parsed.append(path) or real(data, path, *rest)
    )
    folder("a.en.md")
    folder("b.en.md")
    loader = Loader()
    loader(folder.root)
    folder("b.en.md", question_text(title="# Another title\n"))
    parsed.clear()
    bank = loader(folder.root)

    assert parsed == ["questions/b.en.md"]
    assert bank.question("b", "en").title == "Another title"
    (folder.root / "a.en.md").unlink()
    assert list(loader(folder.root).questions) == ["b"]


def test_the_folders_own_quiz_file_orders_the_quizzes_and_the_rest_follow(folder):
    for name in ("a/q", "b/q", "c/q"):
        folder(f"{name}.en.md", question_text(title=f"# {name}\n"))
    folder("_quiz.en.md", "---\norder: [c, gone, b]\n---\n# All\n")
    bank = load(folder.root)

    assert list(bank.quizzes) == ["c", "b", "a"]
    assert told(bank.problems) == ["2:12 E025"]


def test_the_folders_own_quiz_file_gives_the_whole_its_title_and_introduction(folder):
    folder("a/q.en.md")
    nameless = load(folder.root)
    folder("_quiz.en.md", "# Mine\n\nOf my own.\n")
    folder("_quiz.ja.md", "# 私の\n")
    bank = load(folder.root)

    assert (nameless.title("en"), nameless.introduction("en")) == (None, None)
    assert (bank.title("en"), bank.title("ja"), bank.title("fr")) == ("Mine", "私の", "Mine")
    introduction = bank.introduction("ja")
    assert introduction is not None and introduction.source.strip() == "Of my own."
    assert bank.problems == ()


@pytest.mark.parametrize(
    ("front", "names"),
    [("difficulty: 1", False), ("techniques: [lora]", True), (f"sources: [A]\n{CLAIM}", True)],
)
def test_a_bank_is_about_techniques_once_a_question_names_one_or_makes_a_claim(folder, front, names):
    folder("a.en.md", question_text(front=front))

    assert load(folder.root).names_techniques is names


@pytest.mark.parametrize("regrade", ["void", "credit-all"])
def test_a_regraded_question_is_kept_but_no_quiz_asks_it(folder, regrade):
    folder("lora/_quiz.en.md", "---\norder: [second, first]\n---\n# LoRA\n")
    for name in ("first", "second"):
        folder(f"lora/{name}.en.md", question_text(title=f"# {name}\n", question=f"## Question\n{name}?\n"))
    before = load(folder.root)
    folder(
        "lora/second.ja.md",
        JAPANESE.replace("# Frozen", f"---\nregrade: {regrade}\n---\n# 二つ目"),
    )
    after = load(folder.root)

    assert before.quizzes["lora"].questions == ("lora/second", "lora/first")
    assert after.quizzes["lora"].questions == ("lora/first",)
    assert (after.regrade("lora/first"), after.regrade("lora/second")) == (None, regrade)
    assert after.question("lora/second", "en").regrade == regrade
    assert after.problems == ()


def test_a_quiz_of_which_every_question_is_regraded_is_no_quiz(folder):
    folder("lora/first.en.md", question_text(front="regrade: void"))

    assert load(folder.root).quizzes == {}


def test_how_a_question_is_regraded_is_not_stored_with_what_was_asked(folder):
    folder("q.en.md", question_text(front="regrade: void"))
    question = load(folder.root).question("q", "en")

    assert question.regrade == "void"
    assert Question.from_json(question.to_json()).regrade is None


CONTENTS = {
    "whole": question_text().encode(),
    "without a section": question_text(explanation="").encode(),
    "another language's headings": JAPANESE.encode(),
    "headings of no language": "# Titre\n\n## Énoncé\n\nQuoi ?\n".encode(),
    "empty": b"",
    "UTF-16": question_text().encode("utf-16"),
    "binary": bytes(range(256)),
    "front matter alone": b"---\ntechniques: [lora]\n---\n",
    "front matter that is not closed": b"---\nexam: only\n",
}


@pytest.mark.parametrize("content", CONTENTS)
def test_a_file_in_any_language_stops_no_other(folder, content):
    unknown, others = ("fr", "xx", "zz"), ("FR", "eng", "zh-TW", "e", "1a", "日本", "")
    folder("test/good.en.md")
    for code in (*unknown, *others):
        folder(f"test/q{code}.{code}.md", CONTENTS[content])
        folder(f"quiz{code}/_quiz.{code}.md", CONTENTS[content])
    bank = load(folder.root)
    check(bank, Records({}))

    assert "test/good" in bank.questions
    for code in unknown:
        message = f'the language "{code}" of the file\'s name is not known; known are en, ja'
        for name in (f"test/q{code}", f"quiz{code}/_quiz"):
            assert Problem(f"questions/{name}.{code}.md", 1, 1, "E026", message) in bank.problems
        assert f"test/q{code}" not in bank.questions


@pytest.mark.parametrize(
    ("headings", "missing"),
    [(question_text(), "## Explanation"), (JAPANESE, "## 解説"), ("# T\n", "## Question")],
)
def test_a_file_in_an_unknown_language_lacks_a_section_by_its_name_in_the_files_own_headings(
    folder, headings, missing
):
    folder("x.fr.md", headings.partition("## Explanation")[0])

    assert f'the section "{missing}" is missing' in [
        problem.message for problem in load(folder.root).problems
    ]


@pytest.mark.parametrize("error", [KeyError("fr"), RecursionError(), MemoryError(), ValueError("\ud800")])
def test_what_is_raised_while_a_file_is_read_is_a_problem_of_that_file(folder, monkeypatch, error):
    def fail_at_bad(real):
        def read(data, path, *rest):
            if "/bad" in path:
                raise error
            return real(data, path, *rest)

        return read

    monkeypatch.setattr(load_module, "parse", fail_at_bad(load_module.parse))
    monkeypatch.setattr(load_module, "parse_quiz", fail_at_bad(load_module.parse_quiz))
    folder("bad.en.md")
    folder("bad/_quiz.en.md", "# A test\n")
    folder("bad/q.en.md")
    folder("good.en.md", question_text(question="## Question\nAnother?\n"))
    bank = load(folder.root)

    assert list(bank.questions) == ["good"]
    assert [f"{problem.path} {problem.code}" for problem in bank.problems] == [
        "questions/bad.en.md E060",
        "questions/bad/_quiz.en.md E060",
        "questions/bad/q.en.md E060",
    ]
    assert f"({type(error).__name__} in test_load.py, line " in bank.broken["bad"][0].message
    assert bank.exams["bad"].availability(datetime(2027, 1, 1, tzinfo=UTC)) == "unreadable"


def test_what_is_raised_while_languages_are_merged_leaves_one_language_and_a_problem(folder, monkeypatch):
    folder("q.en.md")
    folder("q.ja.md")
    folder("test/_quiz.en.md", "# A test\n")
    folder("test/good.en.md")
    for module in (load_module.languages, exam_memory.exams):
        monkeypatch.setattr(module, "merge", lambda parsed: 1 // 0)
    bank = load(folder.root)

    assert {name: list(edition) for name, edition in bank.questions.items()} == {
        "q": ["en"],
        "test/good": ["en"],
    }
    assert [problem.code for problem in bank.problems] == ["E060"] * 3
    assert bank.is_exam_only("test/good")


def test_folders_in_folders_without_end_are_read(folder):
    folder("q.en.md")
    folders = [folder.root / ("d/" * depth) for depth in range(1, 1101)]
    for each in folders:
        each.mkdir()
    (folder.root / "q.en.md").rename(folders[-1] / "q.en.md")
    bank = load(folder.root)
    (folders[-1] / "q.en.md").unlink()
    for each in reversed(folders):  # whoever empties the temporary folder may not be able to
        each.rmdir()

    assert list(bank.questions) == [f"{'d/' * 1100}q"]
