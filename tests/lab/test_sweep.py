"""Sweeps as they are started: real scripts, real processes, the tiny model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import filelock
import pytest

from memlab.results import record
from memlab.sweeps import quality, reference, suite
from records import make_record

pytestmark = pytest.mark.slow

DEMOS = Path(__file__).parents[2] / "demos"
TINY = ("--model", "tiny", "--device", "cpu", "--batch", "1", "--seq", "32", "--steps", "2", "--warmup", "1")


@pytest.fixture
def sweep(tmp_path, warm_python):
    """Return a function that starts a sweep of some commands with the tiny model."""
    script = tmp_path / "mini.py"
    script.write_text(
        "import os\n"
        "from memlab.sweeps import sweep\n"
        "sweep.main('A sweep.', 'mini', lambda records: os.environ['COMMANDS'].split(';'))\n"
    )

    def start(
        *commands: str, options: tuple[str, ...] = TINY, out: Path = tmp_path / "out"
    ) -> subprocess.Popen:
        return subprocess.Popen(
            [warm_python, str(script), "--out", str(out), *options],
            env=os.environ | {"COMMANDS": ";".join(commands), "PYTHONPATH": str(DEMOS), "COLUMNS": "200"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def finished(process: subprocess.Popen) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=1800)
    return process.returncode, out, err


def test_what_several_scripts_want_is_run_once_and_what_is_there_is_not_run_again(sweep, tmp_path):
    """One baseline for two techniques; the same sweep again only shows the table."""
    code, out, err = finished(sweep("lora.py", "gradient_checkpointing.py"))
    assert code == 0, err
    paths = sorted((tmp_path / "out").glob("*.json"))
    assert [path.name.partition("-")[0] for path in paths] == ["baseline", "gradient_checkpointing", "lora"]
    assert "gradient_checkpointing.py" in out and "lora.py" in out
    assert "1 of 3" in err and "3 of 3" in err and "baseline.py" in err

    before = [path.stat().st_mtime_ns for path in paths]
    code, again, err = finished(sweep("lora.py", "gradient_checkpointing.py"))
    assert (code, again) == (0, out)
    assert "already done: 3 of 3" in err
    assert [path.stat().st_mtime_ns for path in paths] == before


def test_a_record_of_other_versions_or_of_a_failure_does_not_count_as_done(sweep, tmp_path):
    """It is measured again."""
    finished(sweep("baseline.py"))
    (path,) = (tmp_path / "out").glob("*.json")
    for change in ({"origin": {"versions": {"torch": "1.0"}}}, {"status": "failed"}):
        fields = json.loads(path.read_text())
        for name, value in change.items():
            fields[name] = fields[name] | value if isinstance(value, dict) else value
        path.write_text(json.dumps(fields))
        code, _, err = finished(sweep("baseline.py"))
        assert code == 0 and "1 of 1" in err, err
        assert record.read(path).status == "ok"


def test_a_run_that_fails_is_recorded_and_the_rest_is_done(sweep, tmp_path):
    """The learning rate is absurd, so the loss is no number; the sweep says so again at its end."""
    code, _, err = finished(sweep("baseline.py --lr 1e30", "baseline.py --precision bf16"))
    assert code == 1
    status = {one.setup.precision: one.status for one in map(record.read, (tmp_path / "out").glob("*.json"))}
    assert status == {"mixed": "failed", "bf16": "ok"}
    assert err.splitlines()[-1].startswith("mini: baseline.py") and "failed" in err.splitlines()[-1]


def test_a_script_that_refuses_is_left_out_and_named(sweep, tmp_path):
    """As ZeRO is where DeepSpeed is missing."""
    code, _, err = finished(sweep("zero.py --stage 7", "baseline.py"))
    assert code == 1
    assert len(list((tmp_path / "out").glob("*.json"))) == 1
    assert "--stage 7: ZeRO has the stages 0, 1, 2 and 3" in err.splitlines()[-1]


def test_an_option_that_no_script_knows_is_refused_before_any_work(sweep, tmp_path):
    code, out, err = finished(sweep("baseline.py", "lora.py", options=(*TINY, "--stpes", "3")))
    assert (code, out) == (2, "")
    assert "--stpes" in err and len(err.splitlines()) == 1
    assert not list((tmp_path / "out").glob("*.json"))


def test_two_sweeps_into_one_folder_are_refused(sweep, tmp_path):
    with filelock.FileLock(tmp_path / "out" / ".sweep.lock"):
        code, out, err = finished(sweep("baseline.py"))
    assert (code, out) == (2, "")
    assert "another sweep is writing into this folder" in err and len(err.splitlines()) == 1


def test_a_folder_that_cannot_be_written_is_refused(sweep, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = finished(sweep("baseline.py", out=tmp_path / "file" / "out"))
    assert code == 2 and "choose another --out" in err and len(err.splitlines()) == 1


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent as a signal")
def test_a_sweep_that_is_stopped_keeps_its_records_and_goes_on(sweep, tmp_path):
    """Ctrl-C in the second run: the first one's record stays, the table is shown, and only the rest is run."""
    process = sweep("baseline.py", "baseline.py --precision bf16", "lora.py")
    for line in process.stderr:
        if line.startswith("1 of 3"):
            break
    process.send_signal(signal.SIGINT)
    code, out, err = finished(process)
    assert code == 130 and "baseline.py" in out
    assert err.splitlines()[-1] == "mini: stopped; the same command goes on from here"
    assert len(list((tmp_path / "out").glob("*.json"))) == 1
    code, _, err = finished(sweep("baseline.py", "baseline.py --precision bf16", "lora.py"))
    assert code == 0 and "already done: 1 of 3" in err


# ---- what is swept ---------------------------------------------------------------------------------------------


def test_the_suite_runs_every_script():
    """A demo that is added belongs into it."""
    scripts = {command.split()[0] for command in suite.commands(suite.SHORT)} | {"baseline.py"}
    assert scripts == {path.name for path in DEMOS.glob("*.py")}
    assert {command.split()[0] for command in reference.COMMANDS} | {"baseline.py"} == scripts


def learned(rate: float, loss: float, **setup: object) -> record.Record:
    """A run of LoRA at this learning rate that ended at this held-out loss."""
    one = make_record("lora", lr=rate, **setup)
    assert one.learning
    learning = one.learning.model_copy(update={"eval_loss_after": loss})
    return one.model_copy(update={"learning": learning})


GRID = [learned(3e-4, 3.3), learned(1e-3, 3.1), learned(3e-3, 3.2)]


def test_the_finals_repeat_each_arm_at_the_rate_that_did_best():
    """By the held-out loss at seed 0, in an arm's own records, and in those of the grid's work alone."""
    other_seed, other_work = learned(3e-4, 1.0, seed=1), learned(3e-4, 1.0, batch=2)
    assert quality.finals([*GRID, other_seed, other_work]) == [
        f"lora.py {quality.WORK} --rank 16 --lr 0.001 --seeds 3"
    ]
    assert len(quality.grid([])) == len(quality.ADAPTERS) * len(quality.RATES)


@pytest.mark.parametrize(
    ("losses", "next_rate"), [((3.0, 3.1, 3.2), "0.0001"), ((3.2, 3.1, 3.0), "0.01"), ((3.2, 3.0, 3.1), None)]
)
def test_a_best_rate_at_the_grids_end_is_no_best_before_the_next_was_tried(losses, next_rate):
    records = [learned(rate, loss) for rate, loss in zip(quality.RATES, losses, strict=True)]
    expected = [] if next_rate is None else [f"lora.py {quality.WORK} --rank 16 --lr {next_rate}"]
    assert quality.beyond(records) == expected
