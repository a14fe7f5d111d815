"""The demos as a user runs them: a process for each run, records on disk, a table, and a clean end.

The first demo and the one that Ctrl-C ends import everything themselves; the others find torch imported (`warm`).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from memlab.results import record
from processes import is_gone

TINY = ("--model", "tiny", "--device", "cpu", "--batch", "2", "--seq", "64", "--steps", "2", "--warmup", "1")
pytestmark = pytest.mark.slow
DEMOS = Path(__file__).parents[2] / "demos"


@pytest.fixture(scope="module")
def first(run_demo, tmp_path_factory):
    """`python demos/lora.py` once, from a folder that is not the checkout's."""
    out = tmp_path_factory.mktemp("out")
    answer = run_demo("lora.py", *TINY, "--out", str(out), cwd=out, fresh=True)
    assert answer.returncode == 0, answer.stderr
    return out, answer


def test_lora_writes_two_records_and_prints_the_saving(first):
    """Baseline and LoRA, each valid, with the peak's place, the saving and the baseline's precision."""
    out, answer = first
    records = {one.technique: one for one in map(record.read, out.glob("*.json"))}
    assert set(records) == {"baseline", "lora"} and all(one.status == "ok" for one in records.values())
    peak = {name: one.memory.peak_bytes for name, one in records.items()}
    saved = f"{abs(peak['lora'] / peak['baseline'] - 1):.1%}".replace("%", " %")
    assert (
        f"lora (mixed precision) against full fine-tuning in mixed precision: peak −{saved}." in answer.stdout
    )
    for words in ("came in the phase", "backward", "activations", "Measured on a CPU", "held-out loss after"):
        assert words in answer.stdout
    assert answer.stdout.count("GPU") == 1  # "a GPU holds the same tensors": nothing is called a GPU's


def test_nothing_but_progress_is_on_stderr(first):
    """What the libraries say is kept in a log that only a failure shows."""
    _, answer = first
    lines = [line for line in answer.stderr.splitlines() if line.strip()]
    assert all(line.startswith("wrote ") or "seed 0" in line for line in lines), answer.stderr


def test_pictures_are_drawn(first):
    """As SVG with real text, and as PNG."""
    out, _ = first
    svg = (out / "lora-mixed.svg").read_text()
    assert "activations" in svg and "peak in backward" in svg and "on a CPU" in svg
    assert (out / "lora-mixed.png").read_bytes().startswith(b"\x89PNG")


def test_running_it_again_gives_equal_bytes_and_like_shows_both(first, run_demo, tmp_path):
    """`--like` replays the setup, runs that one technique, and puts theirs beside yours."""
    out, _ = first
    (theirs,) = out.glob("lora-*.json")
    answer = run_demo("lora.py", "--like", str(theirs), "--device", "cpu", "--out", str(tmp_path))
    assert answer.returncode == 0, answer.stderr
    (path,) = tmp_path.glob("*.json")
    yours, before = record.read(path), record.read(theirs)
    assert yours.setup == before.setup
    assert yours.memory.breakdown_at_peak == before.memory.breakdown_at_peak
    assert yours.learning == before.learning
    assert "theirs" in answer.stdout and "yours" in answer.stdout and "+0.0 %" in answer.stdout
    assert "Not the same" not in answer.stdout


def test_json_prints_the_records(run_demo, tmp_path):
    """For programs: valid records on stdout and nothing else."""
    answer = run_demo("baseline.py", *TINY, "--precision", "bf16", "--json", "--out", str(tmp_path))
    (one,) = json.loads(answer.stdout)
    assert record.Record.model_validate_json(json.dumps(one)).setup.precision == "bf16"
    assert one["origin"]["command"] == f"python demos/baseline.py {' '.join(TINY[:2])} --precision bf16 " + (
        "--batch 2 --seq 64 --steps 2 --warmup 1 --device cpu"
    )


def test_the_stack_runs_each_of_its_steps_beside_both_baselines(run_demo, tmp_path):
    """A record each, a column each, and a saving against both precisions; what a CPU cannot do is said."""
    answer = run_demo("stack.py", *TINY, "--out", str(tmp_path))
    assert answer.returncode == 0, answer.stderr
    records = [record.read(path) for path in tmp_path.glob("*.json")]
    assert {(one.technique, one.setup.precision) for one in records if one.setup.step is None} == {
        ("baseline", "mixed"),
        ("baseline", "bf16"),
    }
    steps = {one.setup.step: one for one in records if one.technique == "stack"}
    assert set(steps) == set(record.STEPS)
    assert [steps.pop("offload").status, *{one.status for one in steps.values()}] == ["not_applicable", "ok"]
    assert {one.setup.precision for one in steps.values()} == {"bf16"}
    for step in steps:
        for precision in ("mixed precision", "pure bf16"):
            assert f"+ {step} (pure bf16) against full fine-tuning in {precision}: peak " in answer.stdout
    assert "+ offload: not applicable; on a CPU" in answer.stdout
    assert "+ chunked_loss" in (tmp_path / "stack-bf16.svg").read_text()


def test_a_step_of_the_stack_can_be_run_again(run_demo, tmp_path):
    """Alone, from its record."""
    first = run_demo("stack.py", *TINY, "--step", "qlora", "--json", "--out", str(tmp_path))
    theirs = json.loads(first.stdout)[-1]
    assert theirs["setup"]["step"] == "qlora" and "--step qlora" in theirs["origin"]["command"]
    (path,) = tmp_path.glob("stack-*.json")
    again = run_demo(
        "stack.py", "--like", str(path), "--device", "cpu", "--json", "--out", str(tmp_path / "b")
    )
    (yours,) = json.loads(again.stdout)
    assert (yours["setup"], yours["memory"]["peak_bytes"]) == (
        theirs["setup"],
        theirs["memory"]["peak_bytes"],
    )


# ---- runs that do not end well ---------------------------------------------------------------------------------

DEMO = '''"""A demo."""
import sys
sys.path.insert(0, {demos!r})
from memlab import Demo, launch


def build(lab):
    {body}
    model = lab.load_model("bfloat16")
    return model, lab.optimizer(model)


DEMO = Demo("baseline", build, lr=1e-4)

if __name__ == "__main__":
    launch.main(DEMO, __doc__)
'''


@pytest.fixture
def broken(tmp_path, run_demo):
    """Return a function that runs a demo with one more line in its build."""

    def run(body: str):
        script = tmp_path / "baseline.py"
        script.write_text(DEMO.format(demos=str(DEMOS), body=body))
        answer = run_demo(script, *TINY)
        records = [record.read(path) for path in (tmp_path / "out").glob("*.json")]
        return answer, records

    return run


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_process_that_the_system_kills_leaves_an_oom_record(broken):
    """Linux kills what takes too much memory without asking; the parent writes down how far it came."""
    answer, (one,) = broken("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert answer.returncode == 0
    assert one.status == "oom" and one.message == "killed, most likely for lack of memory, while loading"
    assert one.setup.parameters > 0 and "oom" in answer.stdout


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_process_that_its_driver_aborts_leaves_a_failed_record(broken):
    """A GPU that is lost can take the process with it: one line, and nothing that a saving could be made of."""
    answer, (one,) = broken("import os; os.abort()")
    assert answer.returncode == 1 and "%" not in answer.stdout
    assert (one.status, one.message) == ("failed", "ended with status -6, while loading")
    assert one.memory.peak_bytes is None


def test_memory_that_cannot_be_had_is_a_result_and_no_traceback(broken):
    """Status 0, a record, and nothing that looks like a crash."""
    answer, (one,) = broken("import torch; torch.empty(1 << 50)")
    assert answer.returncode == 0 and one.status == "oom"
    assert "Traceback" not in answer.stderr + answer.stdout


def test_a_failure_shows_its_log_and_ends_with_status_1(broken):
    """Whoever writes a demo sees the trace; the record holds one line."""
    answer, (one,) = broken("raise KeyError('no such layer')")
    assert answer.returncode == 1 and one.status == "failed"
    assert one.message == "KeyError while loading: 'no such layer'"
    assert "Traceback" in answer.stderr and "in build" in answer.stderr


def test_input_that_only_the_libraries_can_judge_is_refused_too(run_demo, tmp_path):
    """A GPU that is not there, a configuration that is none: one line, status 2, no record."""
    (tmp_path / "config.json").write_text("{}")
    answer = run_demo("lora.py", "--model", str(tmp_path), "--out", str(tmp_path / "out"))
    assert answer.returncode == 2 and answer.stdout == ""
    last = answer.stderr.strip().splitlines()[-1]
    assert last.startswith(f"lora.py: --model {tmp_path}: its configuration cannot be used")
    assert not list((tmp_path / "out").glob("*.json"))


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_ends_cleanly(tmp_path):
    """Parent and child are gone, one line says so, and no half record is left."""
    command = [sys.executable, str(DEMOS / "lora.py"), *TINY, "--out", str(tmp_path)]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        child = _wait_for_child(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=600)
    assert process.returncode == 130
    assert errors.strip().splitlines()[-1] == "lora.py: stopped" and "Traceback" not in errors
    assert not list(tmp_path.iterdir())
    assert is_gone(child)


def _wait_for_child(parent: int) -> int:
    """Return the child's process id once it is well into its imports."""
    while True:
        for child in psutil.Process(parent).children():
            if child.memory_info().rss > 50 * 2**20:
                return child.pid
