"""The README's picture: which records it shows, what it says of them, and that it is the same bytes each time."""

from __future__ import annotations

import pytest

from memlab.publishing import headline
from records import make_record


@pytest.fixture
def results(tmp_path):
    """A folder of one CPU's records: both baselines, techniques with variants, and two steps of the stack."""
    for one in (
        make_record("baseline", peak=2000),
        make_record("baseline", peak=1600, precision="bf16"),
        make_record("lora", peak=1000),
        make_record("lora", peak=900, precision="bf16"),
        make_record("dora", peak=1500, rank=16),
        make_record("dora", peak=1400, rank=8),
        make_record("pissa", peak=1100, init="pissa"),
        make_record("pissa", peak=1400, init="pissa_niter_4"),
        make_record("stack", peak=800, precision="bf16", step="lora"),
        make_record("stack", peak=1200, precision="bf16", step="checkpointing"),
        make_record("stack", peak=700, precision="bf16", step="qlora", status="oom"),
        make_record("qlora", peak=1, steps=100),
    ):
        one.write(tmp_path / "cpu")
    return tmp_path


def test_every_technique_has_one_bar_and_the_stack_one_a_step(results):
    """The usual rank and initialisation, in mixed precision; steps in their order. Partial runs and long ones are out."""
    lines = headline.bars(results)
    assert [(bar.section, bar.name, bar.peak) for bar in lines] == [
        (0, "in mixed precision", "2.0 KiB"),
        (0, "in pure bf16", "1.6 KiB"),
        (1, "LoRA", "1.0 KiB"),
        (1, "PiSSA", "1.1 KiB"),
        (1, "DoRA", "1.5 KiB"),
        (2, "+ checkpointing", "1.2 KiB"),
        (2, "+ LoRA", "800 B"),
    ]
    assert lines[2].against == {"mixed": pytest.approx(-0.5), "bf16": pytest.approx(-0.375)}


def test_a_gpus_records_come_before_a_cpus(results):
    """Even if fewer; but not before there is something to compare."""
    name = "a test's accelerator"
    for technique, setup in (("baseline", {}), ("baseline", {"precision": "bf16"})):
        make_record(technique, device="cuda", device_name=name, **setup).write(results / "gpu")
    assert headline.bars(results)[0].group.first.device.kind == "cpu"
    make_record("lora", device="cuda", device_name=name).write(results / "gpu")
    assert headline.bars(results)[0].group.first.device.kind == "cuda"


def test_the_words_hold_every_figure_of_the_picture(results, tmp_path):
    """Whoever does not see the picture reads what it shows."""
    lines = headline.bars(results)
    words = headline.markdown(lines)
    assert "LoRA 1.0 KiB (−50.0 % against mixed, −37.5 % against bf16)" in words
    assert "a test&#x27;s processor" in words  # escaped: it stands in an attribute
    headline.draw(lines, tmp_path)
    for name in headline.FILES.values():
        picture = (tmp_path / name).read_text()
        assert name in words
        for bar in lines:
            assert f">{bar.name}<" in picture and f">{bar.peak}<" in picture


def test_equal_records_give_equal_bytes(results, tmp_path):
    """No date, no version, no random name of an element."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        headline.draw(headline.bars(results), tmp_path / folder)
    for name in headline.FILES.values():
        first, second = ((tmp_path / folder / name).read_bytes() for folder in ("a", "b"))
        assert first == second and b"Matplotlib v" not in first and b"<dc:date>" not in first


def test_without_records_there_is_no_picture(tmp_path):
    """And the README says so."""
    assert headline.bars(tmp_path) == []
    assert headline.markdown([]) == "Nothing has been published yet."
