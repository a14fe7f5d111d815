"""The exam options of `_quiz.<lang>.md`: read, validated, shared by the languages, and hidden when in doubt."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from questions import question_text, told
from steelyard.bank.load import Loader, load
from steelyard.bank.model import Bank, Exam

OPENS = "2027-01-15T09:00+09:00"
CLOSES = "2027-01-15T10:30+09:00"
ONLY = f"exam: only\nminutes: 30\nopens: {OPENS}\ncloses: {CLOSES}"


def bank(folder: Path, **fronts: str) -> Bank:
    """Return a bank of a quiz `test`, described in the given languages, and of a quiz `open`."""
    for name in ("test/q", "open/q"):
        path = folder / "questions" / f"{name}.en.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            question_text(title=f"# {name}\n", question=f"## Question\n{name}?\n"), encoding="utf-8"
        )
    for language, front in fronts.items():
        text = f"---\n{front}\n---\n# A test\n" if front else "# A test\n"
        (folder / "questions" / "test" / f"_quiz.{language}.md").write_text(text, encoding="utf-8")
    return load(folder / "questions")


def test_an_exams_options_are_read(tmp_path):
    found = bank(tmp_path, en=ONLY)
    exam = found.quizzes["test"].exam

    assert found.problems == ()
    assert (exam.only, exam.minutes) == (True, 30)
    assert exam.opens == datetime(2027, 1, 15, tzinfo=UTC)
    assert exam.closes == datetime(2027, 1, 15, 1, 30, tzinfo=UTC)
    assert found.quizzes["open"].exam == Exam()


def test_a_quiz_for_practice_too_may_set_a_time_limit(tmp_path):
    found = bank(tmp_path, en="minutes: 5")

    assert found.quizzes["test"].exam == Exam(minutes=5)
    assert "test/q" in found.practice


def test_questions_of_an_exam_are_kept_from_practice(tmp_path):
    found = bank(tmp_path, en="exam: only")

    assert list(found.questions) == ["open/q", "test/q"]
    assert list(found.practice) == ["open/q"]
    assert found.is_exam_only("test/q") and not found.is_exam_only("open/q")


@pytest.mark.parametrize(
    ("front", "line", "message"),
    [
        ("exam: Only", "2:7", "exam has to be one of only"),
        ("exam: only\nminutes: 0", "3:10", "minutes: input should be greater than or equal to 1"),
        ("minutes: 601", "2:10", "minutes: input should be less than or equal to 600"),
        ("minutes: 1.5", "2:10", "minutes: input should be a valid integer"),
        ("exam: only\nopens: tomorrow", "3:8", "opens has to be a moment with its zone, such as"),
        ("exam: only\ncloses: 2027-01-15T09:00", "3:9", "closes has to be a moment with its zone, such as"),
        ("exam: only\ncloses: 1800000000", "3:9", "closes has to be a moment with its zone, such as"),
        ("exam: only\ncloses: 0001-01-01T00:00+14:00", "3:9", "closes: the year 1 is not one from 2000"),
        (f"opens: {OPENS}", "2:8", "opens goes only with exam: only"),
        (f"minutes: 5\ncloses: {CLOSES}", "3:9", "closes goes only with exam: only"),
        (f"exam: only\nopens: {CLOSES}\ncloses: {OPENS}", "4:9", "closes has to be after opens"),
        (f"exam: only\nopens: {OPENS}\ncloses: {OPENS}", "4:9", "closes has to be after opens"),
    ],
)
def test_a_wrong_option_is_named_at_its_place(tmp_path, front, line, message):
    (problem,) = bank(tmp_path, en=front).problems

    assert told((problem,)) == [f"{line} E006"]
    assert problem.message.startswith(message)


@pytest.mark.parametrize("languages", [("en", "ja"), ("ja", "en")])
def test_an_option_given_in_one_language_holds_for_all(tmp_path, languages):
    given, silent = languages
    found = bank(tmp_path, **{given: ONLY, silent: ""})

    assert found.problems == ()
    assert found.quizzes["test"].exam.only and found.quizzes["test"].exam.minutes == 30


def test_languages_may_write_one_moment_in_two_zones(tmp_path):
    assert bank(tmp_path, en=ONLY, ja="exam: only\nopens: 2027-01-15T00:00Z").problems == ()


def test_languages_that_disagree_are_told(tmp_path):
    found = bank(tmp_path, en=ONLY, ja="minutes: 40")
    (problem,) = found.problems

    assert str(problem).endswith(
        "_quiz.ja.md:2:10 E022 minutes differs between languages: en says 30; ja says 40"
    )
    assert found.quizzes["test"].exam.minutes == 30


def test_a_close_before_the_other_languages_opening_is_told(tmp_path):
    (problem,) = bank(tmp_path, en=f"exam: only\nopens: {CLOSES}", ja=f"exam: only\ncloses: {OPENS}").problems

    assert told((problem,)) == ["3:9 E022"] and "closes has to be after opens" in problem.message


@pytest.mark.parametrize(
    "text",
    [
        "---\nexam: only\ncloses: never\n---\n# A test\n",
        "---\nexam: onyl\n---\n# A test\n",
        "---\nexam: only\nminutes: 5\n# A test\n",
        "---\nexam: only\n  x: [\n---\n# A test\n",
        "--\nexam: only\n--\n# A test\n",
        "---\n'exam': only\nminute: 5\n---\n# A test\n",
        b"---\nexam: only\n---\n# \xff\n",
        "---\nexam: only\n---\n# A test\n" + "x" * 70_000,
    ],
    ids=["moment", "value", "unclosed", "yaml", "dashes", "key", "utf-8", "large"],
)
def test_an_exam_that_cannot_be_read_stays_shut_and_hides_its_questions(tmp_path, text):
    bank(tmp_path)
    path = tmp_path / "questions" / "test" / "_quiz.en.md"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    found = load(tmp_path / "questions")
    exam = found.quizzes["test"].exam

    assert found.problems
    assert found.is_exam_only("test/q") and not found.is_exam_only("open/q")
    assert exam.unreadable == (exam.closes is None and exam.availability(datetime.now(UTC)) == "unreadable")


def test_a_quiz_file_that_cannot_be_opened_hides_the_questions_too(tmp_path):
    bank(tmp_path)
    folder = tmp_path / "questions" / "test"
    (folder / "_quiz.en.md").mkdir()
    found = load(folder, only=["_quiz.en.md", "q.en.md"])

    assert [problem.code for problem in found.problems] == ["E001"]
    assert found.is_exam_only("q") and found.practice == {}


def test_a_question_that_is_asked_no_more_stays_hidden_with_its_exam(tmp_path):
    bank(tmp_path, en="exam: only")
    path = tmp_path / "questions" / "test" / "q.en.md"
    path.write_text("---\nregrade: void\n---\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    found = load(tmp_path / "questions")

    assert "test" not in found.quizzes
    assert found.is_exam_only("test/q") and "test/q" not in found.practice


def test_a_second_file_of_one_language_does_not_open_an_exam(tmp_path):
    bank(tmp_path, en=ONLY)
    (tmp_path / "questions" / "test" / "_quiz.md").write_text("# A test\n", encoding="utf-8")

    assert load(tmp_path / "questions").is_exam_only("test/q")


def test_a_quiz_with_a_slip_elsewhere_is_no_exam_for_that(tmp_path):
    found = bank(tmp_path, en="odrer: [q]")

    assert [problem.code for problem in found.problems] == ["E005"]
    assert "test/q" in found.practice


def test_the_door_opens_and_closes_at_the_given_moments(tmp_path):
    exam = bank(tmp_path, en=ONLY).quizzes["test"].exam
    second = timedelta(seconds=1)
    assert exam.opens and exam.closes
    moments = (exam.opens - second, exam.opens, exam.closes - second, exam.closes)

    assert [exam.availability(moment) for moment in moments] == ["not_yet", "open", "open", "closed"]


# ---- no accident opens an exam ----------------------------------------------------------------------------

WHOLE = f"---\norder: [q]\n{ONLY}\n---\n# A test\n"


@pytest.fixture
def loader(tmp_path) -> Loader:
    bank(tmp_path, en=ONLY)
    loader = Loader(memory=tmp_path / "exams.json")
    assert loader(tmp_path / "questions").is_exam_only("test/q")
    return loader


@pytest.mark.parametrize("anew", [False, True], ids=["running", "restarted"])
@pytest.mark.parametrize(
    ("text", "stays"),
    [
        (WHOLE, True),
        (None, True),
        ("", True),
        ("\n", True),
        ("# A test\n", True),
        ("---\n# A test\n", True),
        ("---\norder: [q]\n", True),
        (WHOLE.encode("utf-16"), True),
        (WHOLE.replace("exam", "exma"), True),
        ("---\norder: [first, second]\n---\n# Another folder's\n", True),
        ("---\norder: [q]\n---\n# A test\n\n## Question\n\nWhat?\n", True),
        ("---\norder: [q]\n---\n# A test\n", False),
        ("---\nexam: optional\n---\n# A test\n", False),
    ],
)
def test_an_exam_stays_shut_until_a_whole_description_says_otherwise(tmp_path, loader, text, stays, anew):
    path = tmp_path / "questions" / "test" / "_quiz.en.md"
    if text is None:
        path.unlink()
    else:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    found = (Loader(memory=tmp_path / "exams.json") if anew else loader)(tmp_path / "questions")

    assert found.is_exam_only("test/q") is stays
    assert ("E027" in [problem.code for problem in found.problems]) is (stays and text != WHOLE)
    assert "What?" not in str(found.quizzes["test"].introductions)
    path.write_text(WHOLE, encoding="utf-8")
    assert loader(tmp_path / "questions").exams["test"].availability(datetime.now(UTC)) != "unreadable"


def test_an_exam_in_a_renamed_folder_or_one_within_stays_shut(tmp_path, loader):
    questions = tmp_path / "questions"
    (questions / "test").rename(questions / "moved")
    (questions / "moved" / "_quiz.en.md").unlink()
    moved = loader(questions)
    (questions / "moved").rename(questions / "test")
    (questions / "test" / "_quiz.en.md").write_text(WHOLE, encoding="utf-8")
    (questions / "test" / "old").mkdir()
    (questions / "test" / "q.en.md").rename(questions / "test" / "old" / "q.en.md")
    within = loader(questions)

    assert moved.is_exam_only("moved/q") and moved.exams["test"].closes == within.exams["test"].closes
    assert within.is_exam_only("test/old/q") and within.practice.keys() == {"open/q"}


def test_a_folder_of_practice_stays_open_while_its_description_is_written(tmp_path):
    bank(tmp_path)
    loader = Loader(memory=tmp_path / "exams.json")
    path = tmp_path / "questions" / "test" / "_quiz.en.md"
    opened = [loader(tmp_path / "questions")]
    for text in ("", "---\nord", "---\nordre: [q]\n---\n", "# A test\n"):
        path.write_text(text, encoding="utf-8")
        opened.append(loader(tmp_path / "questions"))
    path.write_text("---\nexam: onl\n---\n", encoding="utf-8")

    assert all("test/q" in found.practice for found in opened)
    assert loader(tmp_path / "questions").is_exam_only("test/q")
    assert not (tmp_path / "exams.json").exists()


def test_several_processes_and_a_damaged_memory_know_of_an_exam(tmp_path, loader):
    questions, memory = tmp_path / "questions", tmp_path / "exams.json"
    other = Loader(memory=memory)
    description = questions / "test" / "_quiz.en.md"
    description.write_text("", encoding="utf-8")
    told_by_the_other = other(questions)
    for broken in ("{", "[" * 100_000, '{"test": {"exam": {"minutes": "x"}, "files": [], "asked": []}}'):
        memory.write_text(broken, encoding="utf-8")
        assert Loader(memory=memory)(questions).is_exam_only("test/q")
        memory.write_text(broken, encoding="utf-8")

    assert told_by_the_other.is_exam_only("test/q") and loader(questions).is_exam_only("test/q")
    description.write_text(WHOLE, encoding="utf-8")
    assert loader(questions).is_exam_only("test/q") and other(questions).is_exam_only("test/q")


@pytest.mark.parametrize("other", ["only", "optional"])
def test_what_a_missing_description_alone_said_of_an_exam_still_holds(tmp_path, other):
    bank(tmp_path, en=ONLY, ja=f"exam: {other}\nminutes: 30")
    loader = Loader(memory=tmp_path / "exams.json")
    whole = loader(tmp_path / "questions").exams["test"]
    description = tmp_path / "questions" / "test" / "_quiz.en.md"
    text = description.read_text(encoding="utf-8")
    description.unlink()
    damaged = loader(tmp_path / "questions")
    description.write_text(text, encoding="utf-8")

    assert damaged.is_exam_only("test/q") and damaged.exams["test"].closes == whole.closes
    assert damaged.exams["test"].availability(datetime.now(UTC)) == "unreadable"
    assert "E027" in [problem.code for problem in damaged.problems]
    assert loader(tmp_path / "questions").exams["test"] == whole


def test_a_memory_that_was_lost_or_could_not_be_written_is_written_again(tmp_path, loader):
    questions, memory = tmp_path / "questions", tmp_path / "exams.json"
    memory.unlink()
    memory.mkdir()
    loader(questions)
    left = sorted(path.name for path in tmp_path.iterdir())
    memory.rmdir()
    (questions / "test" / "_quiz.en.md").unlink()
    loader(questions)

    assert left == ["exams.json", "questions"]
    assert Loader(memory=memory)(questions).is_exam_only("test/q")


def test_a_copy_of_an_exams_questions_without_its_description_stays_shut(tmp_path, loader):
    questions = tmp_path / "questions"
    (questions / "copy").mkdir()
    text = (questions / "test" / "q.en.md").read_text(encoding="utf-8")
    (questions / "copy" / "q.en.md").write_text(text, encoding="utf-8")
    shut = loader(questions)
    (questions / "copy" / "_quiz.en.md").write_text("---\nexam: optional\n---\n# A copy\n", encoding="utf-8")

    assert shut.is_exam_only("copy/q") and "E027" in [problem.code for problem in shut.problems]
    assert "copy/q" in loader(questions).practice


def test_a_language_that_says_otherwise_of_an_exam_is_named(tmp_path):
    (problem,) = bank(tmp_path, en="exam: only", ja="exam: optional").problems

    assert (problem.code, problem.line) == ("E022", 2) and "says only" in problem.message
