"""The command line: one file per command."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import click

from steelyard.cli import check, exchange, instructor, new, serve


def _version() -> str:
    try:
        return version("steelyard")
    except PackageNotFoundError:
        return "(not installed)"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(_version(), message="%(prog)s %(version)s")
def main() -> None:
    """Memory-efficient fine-tuning, taught with every number weighed."""


main.add_command(check.check)
main.add_command(exchange.export_)
main.add_command(exchange.import_)
main.add_command(instructor.instructor)
main.add_command(new.new)
main.add_command(serve.serve)
