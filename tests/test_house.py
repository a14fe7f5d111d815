"""The house is in order: what git keeps, what a wheel carries, and what may stand in no file."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, cwd=ROOT).stdout


@pytest.fixture(scope="module")
def files() -> list[Path]:
    names = git("ls-files", "-z").split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def test_git_does_not_ignore_the_site_which_the_usual_templates_do():
    ignored = git(
        "check-ignore", "site/steelyard/settings.py", "demos/memlab/results/record.py", "questions/README.md"
    )

    assert ignored == ""
    assert not (ROOT / "site" / "__init__.py").exists(), "site/ is a source root, never a package"


def test_a_wheel_is_complete(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    carried = set(zipfile.ZipFile(wheel).namelist())
    kept = git("ls-files", "site/steelyard", "demos", "questions").split("\n")
    data = "steelyard/_data/"
    expected = {
        name.removeprefix("site/")
        if name.startswith("site/")
        else name.removeprefix("demos/")
        if name.startswith("demos/memlab/")
        else data + name
        for name in kept
        if name and name != "demos/README.md"
    }

    assert set() == expected - carried


def test_no_file_names_a_registry_or_a_path_of_one_machine(files):
    forbidden = re.compile(
        "|".join(
            (
                "pypi" + r"\.org",
                "python" + "hosted",
                "registry" + r"\.npmjs",
                "deb" + r"\.debian",
                "/wor" + "k/",
            )
        ).encode()
    )
    found = [path.relative_to(ROOT) for path in files if forbidden.search(path.read_bytes())]

    assert found == []


def test_no_source_file_outgrows_what_one_reads_at_a_sitting(files):
    long = [
        p.name for p in files if p.suffix == ".py" and len(p.read_text(encoding="utf-8").splitlines()) > 500
    ]

    assert long == []


def pinned() -> set[str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return {canonicalize_name(line.partition("==")[0]) for line in lines if line and not line.startswith("#")}


def wanted() -> list[Requirement]:
    project, groups = PYPROJECT["project"], PYPROJECT["dependency-groups"]
    words = [*project["dependencies"], *project["optional-dependencies"]["demos"], *groups["dev"]]
    return [Requirement(word) for word in words]


def test_every_dependency_has_an_exact_version_in_the_constraints():
    assert set() == {canonicalize_name(one.name) for one in wanted()} - pinned()


def test_whatever_is_installed_for_the_project_has_an_exact_version():
    """What a dependency needs, and what that needs: else two installations of one commit differ."""
    needed: dict[tuple[str, frozenset[str]], None] = {}
    waiting = wanted()
    while waiting:
        one = waiting.pop()
        key = canonicalize_name(one.name), frozenset(one.extras)
        if key in needed:
            continue
        try:
            found = distribution(one.name)
        except PackageNotFoundError:  # for another system, or not installed yet
            continue
        needed[key] = None
        for word in found.requires or ():
            further = Requirement(word)
            extras = ("", *one.extras)
            if further.marker is None or any(further.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(further)

    assert set() == {name for name, _ in needed} - pinned()


def test_the_readme_shows_the_two_commands_and_they_are_targets():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))

    assert {"serve", "test", "demos", "check", "bench", "lint"} <= targets
    for command in re.findall(r"`?make ([a-z]+)`?", readme):
        assert command in targets
    assert {"serve", "test"} <= set(re.findall(r"make ([a-z]+)", readme))


def test_ci_calls_the_readmes_own_test_command_last():
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").split("\n")

    assert [line for line in lines if line][-1] == "make test"


def test_links_between_the_documents_lead_somewhere(files):
    for path in files:
        if path.suffix != ".md" or path.is_relative_to(ROOT / "questions"):
            continue
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.relative_to(ROOT)} links to {target}"
