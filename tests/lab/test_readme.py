"""What is generated is up to date, and the published records say what they must."""

from __future__ import annotations

from pathlib import Path

import pytest

from memlab.publishing import headline
from memlab.publishing.readme import BEGIN, between_marks, regenerate, table
from memlab.results import accuracy, costs, record
from memlab.results.comparing import savings
from memlab.results.files import read_folder
from memlab.results.groups import grouped

DEMOS = Path(__file__).parents[2] / "demos"
PUBLISHED = sorted(
    path
    for path in (DEMOS / "results").glob("*/*.json")
    if path.parent.name not in (accuracy.FOLDER, costs.FOLDER)
)


def test_the_schema_is_current():
    """`cd demos && python -m memlab.readme` writes it."""
    assert (DEMOS / "results" / "schema.json").read_text(encoding="utf-8") == record.schema()


def test_the_readmes_table_is_current():
    """It shows the published records and no others."""
    text = (DEMOS / "README.md").read_text(encoding="utf-8")
    assert text == between_marks(text, table(DEMOS / "results"))


def test_the_projects_picture_is_current(tmp_path):
    """Its bytes and its words are made of the published records; `python -m memlab.readme` brings them up to date."""
    lines = headline.bars(DEMOS / "results")
    text = (DEMOS.parent / "README.md").read_text(encoding="utf-8")
    assert text == between_marks(text, headline.markdown(lines))
    headline.draw(lines, tmp_path)
    for name in headline.FILES.values():
        assert (DEMOS.parent / "docs" / name).read_bytes() == (tmp_path / name).read_bytes(), name


def test_the_readme_lists_every_demo():
    """A script that nobody is led to is not read."""
    text = (DEMOS / "README.md").read_text(encoding="utf-8")
    for script in DEMOS.glob("*.py"):
        assert f"[`{script.name}`]({script.name})" in text


def test_a_readme_without_its_marks_is_not_overwritten(tmp_path):
    """Somebody's text would be lost."""
    (tmp_path / "results").mkdir()
    for text, lost in (("No marks.", BEGIN), (f"One mark. {BEGIN}", "end of the generated part")):
        (tmp_path / "README.md").write_text(text)
        with pytest.raises(ValueError, match=lost):
            regenerate(tmp_path)
        assert (tmp_path / "README.md").read_text() == text


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_a_published_record_is_whole(path):
    """Valid, under its own name, in the folder of its device, of a trained model, made from a clean commit."""
    one = record.read(path)
    assert path.stem == one.slug
    assert one.status in ("ok", "oom") and one.mode == "measured"
    assert "random" not in one.setup.model and one.setup.model != "tiny"
    assert (path.parent.name == "cpu") == (one.device.kind == "cpu")
    assert one.origin.commit and "changes" not in one.origin.commit
    assert one.memory.breakdown_at_peak.total == one.memory.ledger_peak_bytes


@pytest.mark.parametrize("folder", sorted({path.parent for path in PUBLISHED}), ids=lambda path: path.name)
def test_every_published_saving_is_against_both_precisions(folder):
    """Each technique weighed has full fine-tuning in mixed precision and in pure bf16 to stand beside.

    What is learned is another matter, and ZeRO has stage 0 for its baseline.
    """
    groups = [group for group in grouped(read_folder(folder)) if group.first.setup.stage is None]
    weighed = [
        group for group in groups if not group.first.setup.shows_learning and group.first.status == "ok"
    ]
    assert weighed
    for group in weighed:
        precisions = [baseline.first.setup.precision for baseline, _ in savings(group, groups)]
        assert precisions == ["mixed", "bf16"], group.first.slug
