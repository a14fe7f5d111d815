"""A script that lies anywhere: its own build, step and batch, measured and predicted by the same command."""

from __future__ import annotations

import pytest

from memlab import Demo
from memlab.results import record

TINY = ("--model", "tiny", "--batch", "2", "--seq", "64", "--steps", "2", "--warmup", "1")

SCRIPT = '''"""Train the head alone, on batches of zeros, with gradients of two of them added up."""

import torch

from memlab import Demo, launch


def build(lab):
    model = lab.load_model("float32")
    for name, parameter in model.named_parameters():
        parameter.requires_grad = "embed" in name
    return model, torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=lab.setup.lr)


def batch(lab):
    tokens = torch.zeros(2 * lab.setup.batch, lab.setup.seq, dtype=torch.int64, device=lab.device)
    return {"input_ids": tokens, "labels": tokens}


def step(lab, model, optimizer, batch):
    for part in range(2):
        half = {name: tensor.chunk(2)[part] for name, tensor in batch.items()}
        loss = model(**half).loss / 2
        loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss


DEMO = Demo("my-run", build, lr=1e-4, step=step, batch=batch)

if __name__ == "__main__":
    launch.main(DEMO, __doc__)
'''


def test_a_script_elsewhere_is_measured_and_predicted_to_the_same_byte(run_demo, tmp_path):
    """Its records bear its name, its command no folder of this machine; its step has phases, and no held-out loss."""
    script = tmp_path / "my_run.py"
    script.write_text(SCRIPT)
    measured = run_demo(script, *TINY, "--device", "cpu", cwd=tmp_path)
    assert measured.returncode == 0, measured.stderr
    predicted = run_demo(script, *TINY, "--predict", cwd=tmp_path)
    assert predicted.returncode == 0, predicted.stderr
    records = {path.name: record.read(path) for path in (tmp_path / "out").glob("my-run-*.json")}
    real, told = sorted(records.values(), key=lambda record: record.mode)
    assert (real.technique, real.status, told.status) == ("my-run", "ok", "ok")
    assert real.memory.peak_bytes == told.memory.peak_bytes
    assert real.memory.breakdown_at_peak == told.memory.breakdown_at_peak
    assert real.memory.peak_phase == told.memory.peak_phase == "backward"
    assert real.origin.command.startswith("python my_run.py --model tiny")
    assert real.learning.eval_loss_before is None and len(real.learning.losses) == 3
    assert list((tmp_path / "out").glob("baseline-*.json")), "full fine-tuning is weighed beside it"


@pytest.mark.parametrize("name", ["My run", "", "0", "x" * 41, "../lora"])
def test_a_name_that_no_record_can_have_is_refused(name):
    with pytest.raises(ValueError, match="names its records; begin with a small letter"):
        Demo(name, lambda lab: None, lr=1e-3)
