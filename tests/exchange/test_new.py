"""`steelyard new`: a skeleton whose every gap the check names, and that overwrites nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from steelyard.bank.headings import HEADINGS
from steelyard.bank.parse import parse
from steelyard.cli import main
from steelyard.cli.new import skeleton
from steelyard.settings import project_data


@pytest.fixture
def new(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "q").mkdir()
    return lambda *words: CliRunner().invoke(main, ["new", *words, "--questions", "q"])


def test_one_file_per_language_and_what_to_do_next(new):
    result = new("lora/rank", "--lang", "en,ja")

    assert result.exit_code == 0
    assert result.stdout == "q/lora/rank.en.md\nq/lora/rank.ja.md\n"
    assert result.stderr == (
        "Next: fill them in until this names nothing any more\n"
        "  steelyard check q/lora/rank.en.md q/lora/rank.ja.md\n"
        f"How: {project_data() / 'questions' / 'README.md'}\n"
    )


def test_the_check_names_each_gap_at_its_line(new):
    new("lora/rank", "--lang", "en,ja")
    result = CliRunner().invoke(main, ["check", "q"])

    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "q/lora/rank.en.md:7:1 E007 the title is empty",
        'q/lora/rank.en.md:9:1 E007 the section "question" is empty',
        "q/lora/rank.en.md:13:1 E019 choice A is empty",
        "q/lora/rank.en.md:15:1 E019 choice B is empty",
        "q/lora/rank.en.md:17:1 E019 choice C is empty",
        "q/lora/rank.en.md:19:1 E019 choice D is empty",
        "q/lora/rank.en.md:21:1 E011 the answer names no choice",
        'q/lora/rank.en.md:23:1 E007 the section "explanation" is empty',
        *(
            f"q/lora/rank.en.md:{line}:1 E007 the feedback for {a} is empty"
            for line, a in zip((25, 27, 29, 31), "ABCD", strict=True)
        ),
        "q/lora/rank.ja.md:1:1 E007 the title is empty",
        'q/lora/rank.ja.md:3:1 E007 the section "question" is empty',
        "q/lora/rank.ja.md:7:1 E019 choice A is empty",
        "q/lora/rank.ja.md:9:1 E019 choice B is empty",
        "q/lora/rank.ja.md:11:1 E019 choice C is empty",
        "q/lora/rank.ja.md:13:1 E019 choice D is empty",
        "q/lora/rank.ja.md:15:1 E011 the answer names no choice",
        'q/lora/rank.ja.md:17:1 E007 the section "explanation" is empty',
        *(
            f"q/lora/rank.ja.md:{line}:1 E007 the feedback for {a} is empty"
            for line, a in zip((19, 21, 23, 25), "ABCD", strict=True)
        ),
    ]


@pytest.mark.parametrize("language", HEADINGS)
def test_a_skeleton_that_is_filled_in_is_a_question(language):
    text = skeleton("lora/rank", language, first=True)
    answer = text.index("###")
    text = text[:answer].replace("# \n", "# Rank\n", 1) + text[answer:]
    for letter in "ABCD":
        text = text.replace(f"\n{letter}.\n", f"\n{letter}. choice {letter}\n").replace(
            f"### {letter}\n", f"### {letter}\nSo.\n"
        )
    question, _, answer, explanation = (f"## {name}\n" for name in HEADINGS[language])
    for name, words in ((question, "Which?"), (answer, "A"), (explanation, "Why.")):
        text = text.replace(name, f"{name}{words}\n")
    result = parse(text.encode(), "rank.md", "lora/rank", language)

    assert result.problems == ()
    assert result.question is not None and result.question.techniques == ("lora",)


@pytest.mark.parametrize("there", ["rank.ja.md", "rank.md"])
def test_nothing_is_overwritten_and_then_nothing_is_written(new, tmp_path, there):
    (tmp_path / "q" / "lora").mkdir()
    (tmp_path / "q" / "lora" / there).write_text("mine")
    result = new("lora/rank", "--lang", "en,ja")

    assert result.exit_code == 1
    assert f"q/lora/{there} exists; nothing is written" in result.stderr
    assert [path.name for path in (tmp_path / "q" / "lora").iterdir()] == [there]
    assert (tmp_path / "q" / "lora" / there).read_text() == "mine"


@pytest.mark.parametrize(
    "id", ["../x", "/x", "a//b", "A/b", "a/", "a b", "lora/readme", "_quiz", "a\x1b", "日本", ""]
)
def test_what_cannot_be_an_id_is_refused_before_anything_is_written(new, tmp_path, id):
    result = new(id)

    assert result.exit_code == 2
    assert "is no id: small letters, digits and hyphens" in result.stderr
    assert list((tmp_path / "q").iterdir()) == []


@pytest.mark.parametrize("languages", ["en,fr", ",", ""])
def test_a_language_that_is_not_known_is_refused(new, languages):
    result = new("lora/rank", "--lang", languages)

    assert result.exit_code == 2 and "the languages are en, ja, with commas between" in result.stderr


def test_it_points_to_the_readme_that_is_installed_with_it(new):
    *_, line = new("one").stderr.splitlines()
    readme = Path(line.removeprefix("How: "))

    assert "steelyard new lora/rank" in readme.read_text(encoding="utf-8")
