"""`steelyard import`: what becomes of good, foreign, broken and hostile files, each loss at its line."""

from __future__ import annotations

import base64
import zipfile

import pytest
from click.testing import CliRunner

from steelyard.bank.load import load
from steelyard.checks import check
from steelyard.cli import exchange, main
from steelyard.evidence import Records

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="
)
GIFT = """// [id:made/frozen] [tag:memory] [tag:technique:lora]
::Frozen::[html]<p>Which of these is <b>frozen</b>?</p>{
=The base model#<p>Right\\: it is not trained.</p>
~The adapters
~%50%Half of it
####Nothing else is.
}
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(main, words)


@pytest.fixture
def import_text(run, tmp_path):
    """Import a text as a file of this name into the folder `made`."""

    def imported(text, name="file.gift"):
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return run("import", name, "--to", "made", "--lang", "en")

    return imported


def xml(body, head=""):
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{head}<quiz>\n{body}\n</quiz>\n'


def multichoice(text="<p>Which?</p>", answers=((100, "A model"), (0, "Another")), extra=""):
    choices = "".join(
        f'<answer fraction="{fraction}" format="html"><text><![CDATA[{words}]]></text>'
        "<feedback><text></text></feedback></answer>\n"
        for fraction, words in answers
    )
    return (
        '<question type="multichoice"><name><text>Frozen</text></name>\n'
        f'<questiontext format="html"><text><![CDATA[{text}]]></text>{extra}</questiontext>\n'
        f"<generalfeedback><text>Why</text></generalfeedback><single>true</single>\n{choices}</question>"
    )


def problems(folder):
    return [str(problem) for problem in check(load(folder, shown=""), Records({})) if problem.is_error]


# ---- GIFT --------------------------------------------------------------------------------------------------


def test_a_question_becomes_a_file_that_passes_and_reads_well(import_text, tmp_path):
    result = import_text(GIFT)

    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == ["made/frozen.en.md", "made/_quiz.en.md"]
    assert (tmp_path / "made" / "frozen.en.md").read_text(encoding="utf-8") == (
        "---\ntechniques: [lora]\ntags: [memory]\n---\n\n# Frozen\n\n## Question\n\n"
        "Which of these is **frozen**?\n\n## Choices\n\nA. The base model\n\nB. The adapters\n\nC. Half of it\n\n"
        "## Answer\n\nA\n\n## Explanation\n\nNothing else is.\n\n### A\n\nRight: it is not trained.\n"
    )
    assert problems(tmp_path / "made") == []
    assert (
        'file.gift:2: question "Frozen": no rule scores A 100 %, B 0 %, C 50 %; scoring is all-or-nothing instead'
        in result.stderr
    )


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("{=two =2}", "a short-answer question"),
        ("{=a -> b =c -> d}", "a matching question"),
        ("{#3:2}", "a numerical question"),
        ("{}", "an essay"),
        ("", "a description without answers"),
    ],
)
def test_a_question_of_another_kind_is_left_out_and_named_with_its_line(import_text, body, kind):
    result = import_text(f"{GIFT}\n// a note\n::Other::\nWhat is it? {body}\n")

    assert result.exit_code == 0, result.output
    expected = f'file.gift:10: question "Other" is left out: it is {kind}, not single or multiple choice'
    assert expected in result.stderr.splitlines()
    assert result.stdout.count(".md") == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n\n::T::Why? {\n=a\n~b\n", '3: "{" is not closed before the blank line that ends the question'),
        ("::T::Why? {\n=a\n\n~b\n}\n", '1: "{" is not closed before the blank line that ends the question'),
        ("::T::Why?\n=a\n~b}\n", '3: "}" closes nothing: as text it is written \\}'),
        ("::T::Why? {=a\n~{b}}\n", '2: a second "{" in one question: as text it is written \\{'),
        ("::T: Why? {=a ~b}\n", '1: the title that "::" begins is not closed with another "::"'),
        ("::T::Why? {\nabc\n=a ~b}\n", '1: before the first choice stands text without "=" or "~"'),
    ],
)
def test_broken_gift_is_told_with_its_line_and_nothing_is_written(import_text, tmp_path, text, message):
    result = import_text(f"{text}\n{GIFT}")

    assert result.exit_code == 1
    assert f"file.gift:{message}" in result.stdout.splitlines()
    assert not (tmp_path / "made").exists()


def test_a_broken_escape_stays_as_it_stands_and_is_named(import_text, tmp_path):
    result = import_text("::T::[plain]The size\nof \\q and \\{x\\}? {=\\\\a\n~b\\\n}\n")

    assert result.exit_code == 0, result.output
    assert [line for line in result.stderr.splitlines() if "escape" in line] == [
        "file.gift:2: \\q is no escape of GIFT and stays as it stands; a backslash is written \\\\",
        "file.gift:3: a backslash at the end of a line is no escape of GIFT and stays as it stands; "
        "a backslash is written \\\\",
    ]
    text = (tmp_path / "made" / "t.en.md").read_text(encoding="utf-8")
    assert "of \\\\q and {x}?" in text and "A. \\\\a" in text and "B. b\\\\" in text


def test_gift_that_is_not_utf_8_is_told_with_its_line(import_text):
    result = import_text(b"::T::a {=b ~c}\n\n\xff")

    assert (result.exit_code, result.stdout) == (
        1,
        "file.gift:3: the file is not UTF-8: save it as UTF-8\n",
    )


def test_a_gap_in_the_middle_and_every_text_format_are_read_as_moodle_does(import_text, tmp_path):
    result = import_text(
        "::A::LoRA freezes {=the model ~nothing} for good.\n\n"
        "::B::[markdown]Is it *so*?{=[plain]a<b>*c* ~[html]<i>d</i>}\n\n"
        "::C::[moodle]One\nline{~%50%a ~%50%b ~%-100%c}\n"
    )

    assert result.exit_code == 0, result.output
    made = {name: (tmp_path / "made" / f"{name}.en.md").read_text(encoding="utf-8") for name in "abc"}
    assert "LoRA freezes \\_\\_\\_\\_\\_ for good." in made["a"]
    assert "Is it *so*?" in made["b"] and "A. a\\<b>\\*c\\*" in made["b"] and "B. *d*" in made["b"]
    assert "One\\\nline" in made["c"] and "## Answer\n\nA, B\n" in made["c"]


# ---- Moodle XML --------------------------------------------------------------------------------------------


def test_pictures_come_out_beside_the_question(import_text, tmp_path):
    file = f'<file name="the peak.png" path="/" encoding="base64">{base64.b64encode(PIXEL).decode()}</file>'
    result = import_text(
        xml(multichoice('<p><img src="@@PLUGINFILE@@/the%20peak.png" alt="A peak"></p>', extra=file)), "f.xml"
    )

    assert result.exit_code == 0, result.output
    assert (tmp_path / "made" / "frozen-the-peak.png").read_bytes() == PIXEL
    assert "![A peak](<frozen-the-peak.png>)" in (tmp_path / "made" / "frozen.en.md").read_text(
        encoding="utf-8"
    )
    assert problems(tmp_path / "made") == []


def test_other_types_are_left_out_and_named_with_their_line(import_text):
    result = import_text(
        xml(f'<question type="essay"><name><text>E</text></name></question>\n{multichoice()}'), "f.xml"
    )

    assert result.exit_code == 0, result.output
    assert (
        'f.xml:3: question "E" is left out: its type is essay, not multichoice' in result.stderr.splitlines()
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            xml(multichoice("&x;"), '<!DOCTYPE quiz [<!ENTITY x "y">]>\n'),
            "2: the file has a document type or entities, which no Moodle XML has: refused",
        ),
        (
            xml("", '<!DOCTYPE quiz SYSTEM "file:///etc/passwd">\n'),
            "2: the file has a document type or entities, which no Moodle XML has: refused",
        ),
        (xml("<question>\n<name>"), "5: the file is not well-formed XML: mismatched tag"),
        (xml("<a>" * 50 + "</a>" * 50), "3: elements are nested more than 40 deep: refused"),
        ("<html></html>", "1: the file begins with <html>; Moodle XML begins with <quiz>"),
        (
            xml(multichoice(extra='<file name="x.png" encoding="base64">?</file>')),
            '4: the embedded file "x.png" is not base64',
        ),
        (xml(multichoice(answers=(("1e9", "a"), (0, "b")))), '6: the fraction "1e9" is no percentage'),
    ],
)
def test_hostile_or_broken_xml_is_told_with_its_line_and_nothing_is_written(
    import_text, tmp_path, text, message
):
    result = import_text(text, "f.xml")

    assert result.exit_code == 1, result.output
    assert result.stdout.splitlines() == [f"f.xml:{message}"]
    assert not (tmp_path / "made").exists()


def test_scripts_and_styles_of_the_html_do_not_come_along(import_text, tmp_path):
    html = '<p onclick="x()" style="color:red">Hi<script>alert(1)</script> <span class="a">there</span></p>'
    result = import_text(xml(multichoice(f'{html}<a href="javascript:x()">link</a>')), "f.xml")

    assert result.exit_code == 0, result.output
    text = (tmp_path / "made" / "frozen.en.md").read_text(encoding="utf-8")
    assert "Hi there\n\nlink\n" in text and "alert" not in text and "javascript" not in text
    assert (
        'question "Frozen": the link "javascript:x()" leads nowhere from here: its words remain'
        in result.stderr
    )


# ---- files that are neither --------------------------------------------------------------------------------


def test_a_zip_is_refused_whatever_its_name_without_being_opened(run, tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.xml", "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("quiz.xml", b"\0" * 10_000_000)
    result = run("import", "bomb.xml", "--to", "made", "--lang", "en")

    assert result.exit_code == 1
    assert "bomb.xml is a zip: unpack it, and import the .gift or .xml file inside" in result.stderr
    assert not (tmp_path / "made").exists()


def test_a_file_that_is_too_large_is_refused(import_text, monkeypatch):
    monkeypatch.setattr(exchange, "MAX_BYTES", 2**20)
    result = import_text("x" * (2**20 + 1))

    assert result.exit_code == 1
    assert "file.gift is larger than 1 MiB: divide it" in result.stderr


@pytest.mark.parametrize("name", ["notes.docx", "missing.gift"])
def test_what_cannot_be_read_is_said_in_one_line(run, tmp_path, name):
    (tmp_path / "notes.docx").write_text("words")
    result = run("import", name, "--to", "made", "--lang", "en")

    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {name} ") and result.stderr.count("\n") == 1


# ---- all or nothing ----------------------------------------------------------------------------------------


def test_a_file_that_is_there_is_never_overwritten_and_then_nothing_is_written(import_text, tmp_path):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "frozen-2.en.md").write_text("mine")
    result = import_text(f"{GIFT}\n{GIFT.replace('base', 'whole')}")

    assert result.exit_code == 1
    assert "frozen-2.en.md exists; nothing is written: name another folder" in result.stderr
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["frozen-2.en.md"]


def test_what_was_written_is_taken_away_when_the_rest_cannot_be(import_text, tmp_path, monkeypatch):
    folder = tmp_path / "made"
    folder.mkdir()
    (folder / "frozen-2.en.md").symlink_to(folder / "nowhere" / "x.md")  # is not there, and cannot be created
    result = import_text(f"{GIFT}\n{GIFT.replace('base', 'whole')}")

    assert result.exit_code == 1 and "nothing is written" in result.stderr
    assert [path.name for path in folder.iterdir()] == ["frozen-2.en.md"]


def test_a_question_that_no_file_can_hold_is_left_out_with_the_check_s_own_words(import_text):
    same = "::Same::Which? {=Rank ~rank}\n"
    result = import_text(f"{same}\n{GIFT}\n{GIFT}")

    assert result.exit_code == 0, result.output
    assert (
        'file.gift:1: question "Same" is left out: as a question file, choices A and B are the same'
        in result.stderr
    )
    assert 'file.gift:12: question "Frozen" is left out: it asks the same as frozen.en.md' in result.stderr


def test_no_text_of_the_file_sends_the_terminal_anything_but_text(import_text):
    result = import_text("::\x1b[2J\u202e::Which? {T}\n\n" + GIFT.replace("[tag:memory]", "[tag:\u202e]"))

    assert "".join(c for c in result.output if not (c.isprintable() or c == "\n")) == ""
