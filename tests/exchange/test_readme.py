"""What `questions/README.md` and the README say of new, export and import is what the commands do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from steelyard.cli import main
from steelyard.cli.exchange import export_

ROOT = Path(__file__).parents[2]
README = (ROOT / "questions" / "README.md").read_text(encoding="utf-8")


def block(kind: str) -> str:
    (found,) = re.findall(rf"^```{re.escape(kind)}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return found


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STEELYARD_QUESTIONS", str(tmp_path / "questions"))
    (tmp_path / "questions").mkdir()
    return lambda line: CliRunner().invoke(main, line.removeprefix("$ steelyard ").split())


def test_the_skeleton_is_written_where_the_page_says(run, tmp_path):
    (command,) = block("console new").splitlines()

    assert run(command).exit_code == 0
    assert sorted(path.name for path in (tmp_path / "questions" / "lora").iterdir()) == [
        "rank.en.md",
        "rank.ja.md",
    ]


def test_the_import_makes_the_file_that_is_shown_and_tells_what_is_shown(run, tmp_path):
    (tmp_path / "test.gift").write_text(block("gift test.gift"), encoding="utf-8")
    result = run(block("console exchange").splitlines()[2])
    made = tmp_path / "questions" / "test"

    assert result.exit_code == 0, result.output
    assert (made / "what-is-frozen.en.md").read_text(encoding="utf-8") == block(
        "markdown what-is-frozen.en.md"
    )
    assert result.stderr.startswith(block("text import"))
    assert sorted(path.name for path in made.iterdir()) == ["_quiz.en.md", "what-is-frozen.en.md"]


def test_the_exports_that_are_shown_work_on_the_project_s_own_questions(run, monkeypatch, tmp_path):
    monkeypatch.delenv("STEELYARD_QUESTIONS")
    quiz, question, _ = block("console exchange").splitlines()

    assert run(quiz).exit_code == 0 and (tmp_path / "lora.xml").stat().st_size
    assert run(question).stdout.startswith("$CATEGORY: ")


def test_every_format_is_documented():
    (formats,) = (option.type.choices for option in export_.params if "--format" in option.opts)

    assert set(formats) == set(re.findall(r"^\| `([a-z-]+)` \| (?:Moodle|Canvas)", README, re.MULTILINE))
    assert all(
        f"`{format}`" in (ROOT / "README.md").read_text(encoding="utf-8")
        for format in formats
        if format != "gift"
    )
