"""The command line: what it prints, where, and with which status it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from questions import question_text
from steelyard.cli import main

COFFEE = Path(__file__).parent / "bank" / "files" / "coffee.md"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run `steelyard …` in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(main, words)


def test_a_file_written_by_hand_passes_with_warnings_only(run):
    result = run("check", str(COFFEE))

    assert result.exit_code == 0
    assert " E" not in result.stdout
    assert f'{COFFEE}:28:15 W201 "99%" is not weighed: link it to a claim' in result.stdout
    assert "1 question, 0 errors, 6 warnings" in result.stderr


def test_a_key_that_is_not_among_the_choices_is_named_at_its_place_and_the_status_is_1(run, tmp_path):
    text = COFFEE.read_text(encoding="utf-8").replace("**A、B、C、D、E、F（すべて）**", "**A、G**")
    (tmp_path / "coffee.md").write_text(text, encoding="utf-8")
    result = run("check", "coffee.md")

    assert result.exit_code == 1
    assert result.stdout == "coffee.md:19:5 E012 the answer names G, but the choices are A–F\n"


def test_a_folder_is_checked_whole_and_its_files_are_shown_below_the_name_that_was_typed(run, tmp_path):
    (tmp_path / "mine" / "lora").mkdir(parents=True)
    (tmp_path / "mine" / "lora" / "q.en.md").write_text(question_text(answer="## Answer\nZ\n"))
    result = run("check", "mine")

    assert result.stdout.startswith("mine/lora/q.en.md:14:1 E012 ")


def test_several_paths_are_checked_at_once_and_twins_are_compared(run, tmp_path):
    (tmp_path / "q.en.md").write_text(question_text())
    (tmp_path / "q.ja.md").write_text(question_text(answer="## Answer\nB\n"))

    assert run("check", "q.en.md").exit_code == 0
    assert "q.ja.md:14:1 E021 keys differ" in run("check", "q.en.md", "q.ja.md").stdout


def test_the_project_s_own_questions_have_no_error(run):
    result = run("check")

    assert result.exit_code == 0, result.stdout


def test_without_a_path_the_published_records_are_checked_too(run, tmp_path, monkeypatch):
    (tmp_path / "results" / "cpu").mkdir(parents=True)
    (tmp_path / "results" / "cpu" / "lora.json").write_text("{}")
    (tmp_path / "mine").mkdir()
    monkeypatch.setenv("STEELYARD_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("STEELYARD_QUESTIONS", str(tmp_path / "mine"))
    result = run("check")

    assert result.exit_code == 1
    assert result.stdout.startswith("results/cpu/lora.json:1:1 E050 ")
    assert run("check", "mine").exit_code == 0


def test_machines_get_json(run, tmp_path):
    (tmp_path / "q.md").write_text(question_text(answer="## Answer\nG\n"))
    result = run("check", "q.md", "--json")

    assert json.loads(result.stdout) == [
        {
            "path": "q.md",
            "line": 14,
            "column": 1,
            "code": "E012",
            "severity": "error",
            "message": "the answer names G, but the choices are A–C",
        }
    ]
    assert result.exit_code == 1


def test_a_path_that_is_not_there_is_said_in_one_line_with_status_2(run):
    result = run("check", "nowhere")

    assert result.exit_code == 2
    assert "nowhere does not exist" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize("as_json", [False, True])
def test_no_file_or_name_of_a_file_sends_the_terminal_anything_but_text(run, tmp_path, as_json):
    name = "evil\x1b[2J\u202e.md"
    front = 'tags: [a]\n"\\e]0;title\\a": 1\n"\\u202Erev": 2'
    (tmp_path / name).write_text(
        question_text(front=front, answer="## Answer\nA\u202e\u2066 evil\n"), encoding="utf-8"
    )
    (tmp_path / "raw.md").write_bytes(b"# \x1b[31mred\x07\n\x9b")
    result = run("check", ".", *(["--json"] if as_json else []))

    assert result.exit_code == 1
    assert "".join(c for c in result.output if not (c.isprintable() or c == "\n")) == ""


def test_check_loads_neither_flask_nor_torch():
    code = "import steelyard.cli, sys; print({'flask', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "set()\n"


def test_the_version_is_printed(run):
    assert run("--version").stdout.startswith("main")


def test_every_command_says_what_it_does(run):
    assert "check" in run("--help").stdout and "serve" in run("-h").stdout
    for command in main.commands:
        assert run(command, "--help").exit_code == 0
