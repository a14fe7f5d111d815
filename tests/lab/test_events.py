"""What a program hears of a demo: JSON lines of progress, and the options of its command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from memlab.options.setup import BUNDLED
from memlab.results import record

pytestmark = pytest.mark.slow

DEMOS = Path(__file__).parents[2] / "demos"
TINY = (
    "--model",
    "tiny",
    "--device",
    "cpu",
    "--batch",
    "32",
    "--seq",
    "128",
    "--steps",
    "2",
    "--warmup",
    "1",
)


def options(run_demo, name: str) -> dict[str, dict]:
    answer = run_demo(f"{name}.py", "--options")
    assert answer.returncode == 0 and answer.stderr == ""
    return {one["name"]: one for one in json.loads(answer.stdout)}


def test_the_options_are_those_of_the_demo_with_its_own_defaults(run_demo):
    """A form that offers them offers nothing that the command line refuses."""
    lora, zero, stack = (options(run_demo, name) for name in ("lora", "zero", "stack"))

    assert lora["model"] == {
        "name": "model",
        "kind": "text",
        "minimum": None,
        "choices": None,
        "default": BUNDLED,
    }
    assert (lora["seq"]["kind"], lora["seq"]["minimum"], lora["lr"]["default"]) == ("whole", 16, 1e-3)
    assert lora["precision"]["choices"] == ["mixed", "bf16"] and "stage" not in lora
    assert (zero["ranks"]["default"], zero["offload"]["kind"]) == (2, "flag") and "rank" not in zero
    assert stack["step"]["choices"] == list(record.STEPS) and "precision" not in stack


@pytest.fixture(scope="module")
def events(tmp_path_factory) -> list[dict]:
    """What `baseline.py` tells on the tiny model."""
    out = tmp_path_factory.mktemp("out")
    answer = subprocess.run(
        [sys.executable, str(DEMOS / "baseline.py"), *TINY, "--out", str(out)],
        env=os.environ | {"MEMLAB_EVENTS": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0 and answer.stderr == "", answer.stderr
    return [json.loads(line) for line in answer.stdout.splitlines()]


def test_the_plan_comes_first_and_the_record_last(events):
    assert events[0] == {"plan": ["baseline, seed 0"]}
    (path,) = events[-1]["wrote"]
    assert events[-1] == {"run": 0, "status": "ok", "message": None, "wrote": [path]}
    assert record.read(Path(path)).status == "ok"


def test_every_stage_is_told_and_every_step_counted(events):
    stages = [event["stage"] for event in events if "stage" in event]
    steps = [(event["done"], event["of"]) for event in events if event.get("stage") == "train"]

    assert list(dict.fromkeys(stages)) == ["load", "evaluate", "train", "ledger"]
    assert steps == [(0, 3), (1, 3), (2, 3)]


def test_memory_is_sampled_while_it_runs_and_no_gpus_figure_is_made_up(events):
    """The largest sample is no more than what the kernel says was the most of the process."""
    sampled = [event["resident_bytes"] for event in events if "resident_bytes" in event]
    (path,) = events[-1]["wrote"]
    most = record.read(Path(path)).memory.process_bytes

    assert len(sampled) > 3 and min(sampled) > 0
    assert most is not None and max(sampled) <= most * 1.01
    assert not any("reserved_bytes" in event for event in events)


def test_the_record_so_far_is_told_once_and_is_one(events):
    """Whoever kills the demo can write it down."""
    (begun,) = (event["begun"] for event in events if "begun" in event)
    one = record.Record.model_validate_json(json.dumps(begun))

    assert (one.technique, one.status, one.setup.model) == ("baseline", "failed", "tiny")
