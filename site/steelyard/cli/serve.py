"""`steelyard serve`: the site on this machine."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option(
    "--port",
    default=8000,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="A taken port: the next free one.",
)
@click.option("--public", is_flag=True, help="Check the settings of a public site and print its command.")
@click.option(
    "--questions", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Folder of questions."
)
@click.option(
    "--with-demos", is_flag=True, help="Let technique pages start demos: on this machine, one at a time."
)
def serve(port: int, public: bool, questions: Path | None, with_demos: bool) -> None:
    """Serve the site on this machine, and show a saved question at once."""
    from steelyard.web.serve import serve as run  # here, since `check` needs no web server

    run(port=port, public=public, questions=questions, with_demos=with_demos)
