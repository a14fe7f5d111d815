"""`steelyard new`: the skeleton of a question, one file per language."""

from __future__ import annotations

import re
from pathlib import Path

import click

from memlab.results.techniques import TECHNIQUES
from steelyard.bank.headings import HEADINGS, heading
from steelyard.cli.words import printable, settings
from steelyard.settings import project_data

_ID = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*(?:/[a-z0-9]+(?:-[a-z0-9]+)*)*")


@click.command()
@click.argument("question_id", metavar="ID")
@click.option("--lang", default="en", show_default=True, help="Languages, with commas between: en,ja.")
@click.option(
    "--questions", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Folder of questions."
)
def new(question_id: str, lang: str, questions: Path | None) -> None:
    """Write the skeleton of a question, to be filled in.

    ID is its place: lora/rank becomes lora/rank.en.md and so on in the folder of questions. What is still to
    be written, `steelyard check` names line by line. Nothing is overwritten.
    """
    if not _ID.fullmatch(question_id) or question_id.rpartition("/")[2] == "readme":
        raise click.UsageError(
            f'"{printable(question_id)}" is no id: small letters, digits and hyphens, with a slash after '
            "each folder, such as lora/rank"
        )
    languages = list(dict.fromkeys(word.strip() for word in lang.split(",") if word.strip()))
    unknown = [word for word in languages if word not in HEADINGS]
    if unknown or not languages:
        raise click.UsageError(
            f'--lang "{printable(lang)}": the languages are {", ".join(HEADINGS)}, with commas between'
        )
    folder = questions or settings().questions
    files = [folder / f"{question_id}.{language}.md" for language in languages]
    for file in [*files, folder / f"{question_id}.md"]:
        if file.exists():
            raise click.ClickException(f"{printable(str(file))} exists; nothing is written")
    written: list[Path] = []
    try:
        for language, file in zip(languages, files, strict=True):
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("x", encoding="utf-8", newline="\n") as stream:
                written.append(file)
                stream.write(skeleton(question_id, language, first=language == languages[0]))
    except OSError as error:
        for file in written:
            file.unlink(missing_ok=True)
        reason = error.strerror or error
        raise click.ClickException(
            f"{printable(str(error.filename))}: {reason}; nothing is written"
        ) from None
    shown = " ".join(printable(str(file)) for file in files)
    for file in files:
        click.echo(printable(str(file)))
    click.echo(
        f"Next: fill them in until this names nothing any more\n  steelyard check {shown}\n"
        f"How: {printable(str(project_data() / 'questions' / 'README.md'))}",
        err=True,
    )


def skeleton(question_id: str, language: str, first: bool) -> str:
    """Return a question file without its words: every section is there, and empty.

    Front matter stands in the `first` language's file alone, since it holds for the others too.
    """
    folder = question_id.rpartition("/")[0]
    technique = folder if folder in TECHNIQUES else ""
    front = f"---\ntechniques: [{technique}]\ndifficulty: 1\ntags: []\nsources: []\n---\n" if first else ""
    sections = [
        "# ",
        heading("question", language),
        heading("choices", language),
        "A.",
        "B.",
        "C.",
        "D.",
        heading("answer", language),
        heading("explanation", language),
        *(f"### {letter}" for letter in "ABCD"),
    ]
    return front + "\n\n".join(sections) + "\n"
