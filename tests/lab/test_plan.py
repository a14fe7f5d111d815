"""The planner finds what fits, ranks it by its cost, and answers bad input in one line."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from memlab.measuring.ledger import Ledger
from memlab.options.setup import Setup
from memlab.plan import command, grid, search
from memlab.predicting import predict
from memlab.predicting.flops import flops
from memlab.publishing import terminal
from memlab.results import gpu_fit
from memlab.results.gpu_fit import GIB, OUTSIDE_BYTES
from records import make_record

TINY = Setup(model="tiny", predict=True, for_="cuda")


@pytest.fixture
def few(monkeypatch):
    """Search full fine-tuning and LoRA alone: in all that follows they differ as all techniques do."""
    chosen = tuple(
        arm for arm in grid.TECHNIQUE_SETUPS if arm[0] in ("baseline", "lora", "gradient_checkpointing")
    )
    monkeypatch.setattr(search, "TECHNIQUE_SETUPS", chosen)


def test_the_largest_batch_that_fits_is_found(few):
    """With room for batch 4 and not for 16, by the predictions themselves."""
    room = predict.predict("lora", None, replace(TINY, batch=4, seq=64)).memory.reserved_bytes + OUTSIDE_BYTES
    found, _ = search.search(TINY, room, (1, 4, 4096), (64,))
    lora = next(one for one in found if one.record.technique == "lora")

    assert lora.record.setup.batch == 4
    assert lora.fit == gpu_fit.fit(lora.record, room)
    assert lora.fit.fits


def test_what_fits_is_ranked_by_its_operations_for_a_token(few):
    """A frozen model has no gradients of weights to compute; checkpointing computes the forward pass twice."""
    found, left_out = search.search(TINY, 80 * GIB, (2,), (64,))

    names = [one.name for one in found]
    assert names[0] == "lora" and names[-1] == "gradient_checkpointing"
    costs = {one.name: one.flops_per_token for one in found}
    assert costs["baseline bf16"] == costs["baseline mixed"]
    # 6 operations for a parameter and token, 8 with the forward pass of the blocks again.
    assert 1 < costs["gradient_checkpointing"] / costs["baseline mixed"] < 8 / 6
    assert left_out == []


def test_what_does_not_fit_and_what_cannot_be_read_is_said(few):
    found, left_out = search.search(TINY, OUTSIDE_BYTES, (1,), (64, 8192))

    assert found == []
    assert left_out[0].startswith("baseline mixed, 64 tokens: even batch 1 lacks ")
    assert "baseline mixed, 8192 tokens: the model reads fewer" in left_out


@pytest.mark.filterwarnings(r"ignore:The following \w+_pattern keys did not match:RuntimeWarning")
def test_what_a_technique_cannot_take_leaves_that_technique_out_alone(tmp_path, monkeypatch, capfd):
    """PEFT has no DoRA for experts, and it has LoRA."""
    fields = {
        "model_type": "mixtral",
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "num_key_value_heads": 2,
    }
    sizes = {"vocab_size": 512, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    (tmp_path / "config.json").write_text(json.dumps(fields | sizes | {"num_attention_heads": 4}))
    chosen = tuple(arm for arm in grid.TECHNIQUE_SETUPS if arm[0] in ("baseline", "dora", "lora"))
    monkeypatch.setattr(search, "TECHNIQUE_SETUPS", chosen)
    capfd.readouterr()

    found, left_out = search.search(replace(TINY, model=str(tmp_path / "config.json")), 80 * GIB, (1,), (64,))

    assert {one.name for one in found} == {"lora", "baseline mixed", "baseline bf16"}
    assert left_out == [
        "dora, 64 tokens: ValueError while predicting: lora.ParamWrapper does not work with use_dora=True."
    ]
    assert "Traceback" not in capfd.readouterr().err


def test_a_process_that_was_killed_is_told_in_one_line(monkeypatch, capsys):
    class Killed(command.ProcessPoolExecutor):
        def map(self, *_given, **_named):
            raise command.BrokenProcessPool

    monkeypatch.setattr(command, "ProcessPoolExecutor", Killed)
    with pytest.raises(SystemExit) as left:
        command.main(["--model", "tiny", "--gpu-memory", "8GiB"])

    assert left.value.code == 1
    assert (
        capsys.readouterr().err == "plan: a process of its own was killed, most likely for lack of memory\n"
    )


class InThisProcess(contextlib.nullcontext):
    """A pool without processes: each of them would import torch anew."""

    def __init__(self, *_given):
        super().__init__(self)

    map = staticmethod(map)


@pytest.mark.slow
def test_the_command_prints_a_table_or_json(few, capsys, monkeypatch):
    """The table by processes of its own, two at most; JSON in this one."""
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    asked = ["--model", "tiny", "--gpu-memory", "8GiB", "--batch", "1", "2", "--seq", "64"]
    for extra, pool in (([], command.ProcessPoolExecutor), (["--json"], InThisProcess)):
        monkeypatch.setattr(command, "ProcessPoolExecutor", pool)
        with pytest.raises(SystemExit) as left:
            command.main([*asked, *extra])
        assert left.value.code == 0
    table, _, listed = capsys.readouterr().out.partition("[\n")
    found = json.loads("[" + listed)

    assert "tiny on 8GiB: 64 tokens a sequence" in table
    assert "lora: freezes the weights" in table
    assert found[0]["technique"] == "lora" and found[0]["batch"] == 2
    assert found[0]["fit"]["margin_bytes"] > 0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--model", "tiny", "--gpu-memory", "24"], "'24' is not a size; give one such as 24GiB"),
        (["--model", "no/such/thing", "--gpu-memory", "24GiB"], "--model no/such/thing"),
        (["--model", "tiny", "--gpu-memory", "24GiB", "--batch", "0"], "'0' is not a whole number from 1 up"),
    ],
)
def test_bad_input_gets_one_line(capsys, given, words):
    with pytest.raises(SystemExit) as left:
        command.main(given)
    assert left.value.code == 2
    assert words in capsys.readouterr().err.splitlines()[-1]


# ---- operations ------------------------------------------------------------------------------------------


class _Counting(Ledger):
    total = 0

    def _result(self, func, args, kwargs):
        self.total += flops(func, args)
        return super()._result(func, args, kwargs)


def test_operations_are_counted_as_torchs_own_counter_counts_them():
    """Forward and backward, of two linear layers with and without a bias, and a batched product."""
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Linear(16, 4, bias=False))

    def step():
        hidden = model(torch.ones(5, 3, 8))
        (hidden @ hidden.transpose(1, 2)).sum().backward()

    with FlopCounterMode(display=False) as theirs:
        step()
    with _Counting("cpu") as ours:
        step()

    assert ours.total == theirs.get_total_flops() > 0


def test_products_of_experts_and_those_that_add_are_counted():
    """Of experts, 8 rows of 16 numbers meet one of three matrices of 16 × 12 each, in either direction."""
    rows, experts = torch.ones(8, 16), torch.ones(3, 16, 12)
    ends = torch.tensor([1, 4, 8], dtype=torch.int32)
    for left, right in ((rows, experts), (rows.t(), torch.ones(8, 12))):
        with _Counting("cpu") as ours:
            torch._grouped_mm(left, right, ends)
        assert ours.total == 2 * 8 * 16 * 12

    def add():
        torch.baddbmm(torch.ones(2, 3, 5), torch.ones(2, 3, 4), torch.ones(2, 4, 5))

    with FlopCounterMode(display=False) as theirs:
        add()
    with _Counting("cpu") as ours:
        add()
    assert ours.total == theirs.get_total_flops() > 0


def test_attention_counts_its_two_products_and_five_on_the_way_back():
    query = torch.ones(2, 4, 32, 8, requires_grad=True)
    with _Counting("cpu") as ours:
        torch.nn.functional.scaled_dot_product_attention(query, query, query, is_causal=True).sum().backward()

    assert ours.total == (2 + 5) * 2 * (2 * 4 * 32 * 32 * 8)


# ---- --gpu-memory ----------------------------------------------------------------------------------------


def _said(peak, reserved, gpu_memory):
    one = make_record("lora", peak=peak)
    one = one.model_copy(update={"memory": one.memory.model_copy(update={"reserved_bytes": reserved})})
    return terminal.fit_words(gpu_fit.fit(one, gpu_fit.parse_size(gpu_memory)), gpu_memory)


def test_the_answer_says_what_is_taken_and_what_is_left_or_lacking():
    """8 GiB are 5 reserved, 1.31 outside, and 1.69 over: 21.1 %."""
    assert _said(4 * GIB, 5 * GIB, "8GiB") == (
        "fits on 8GiB: takes 6.31 GiB (5.00 GiB by the allocator, 1.31 GiB outside it), and leaves 1.69 GiB, 21.1%."
    )
    assert _said(9 * GIB, 10 * GIB, "8GiB").startswith("does not fit on 8GiB: takes 11.31 GiB")
    assert "3.31 GiB too much, 41.4%" in _said(9 * GIB, 10 * GIB, "8GiB")
    assert _said(6 * GIB, 7 * GIB, "8GiB").startswith("is tight on 8GiB: takes 8.31 GiB")


def test_a_demo_answers_whether_it_fits(run_demo, tmp_path):
    """--gpu-memory implies --for cuda."""
    asked = ("--predict", "--model", "tiny", "--batch", "1", "--seq", "64", "--gpu-memory", "8GiB")
    done = run_demo("lora.py", *asked, "--out", str(tmp_path))

    assert done.returncode == 0, done.stderr
    assert "lora: fits on 8GiB: takes" in done.stdout
    assert "baseline: fits on 8GiB: takes" in done.stdout
    assert "reserved by the allocator" in done.stdout
    assert "what PyTorch's allocator would hold" in done.stdout


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--for", "cuda"], "--for: says what to predict; add --predict"),
        (["--gpu-memory", "8GiB"], "--gpu-memory: says what to predict; add --predict"),
        (["--predict", "--gpu-memory", "8"], "--gpu-memory: '8' is not a size; give one such as 24GiB"),
        (["--predict", "--for", "tpu"], "--for: invalid choice: 'tpu'"),
    ],
)
def test_a_demo_refuses_what_says_nothing(run_demo, given, words):
    done = run_demo("lora.py", "--model", "tiny", *given)

    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert words in done.stderr


@pytest.mark.parametrize("given", [["--for", "cuda"], ["--gpu-memory", "8GiB"]])
def test_ranks_are_not_predicted_for_cuda(run_demo, given):
    done = run_demo("zero.py", "--predict", "--model", "tiny", *given)

    assert done.returncode == 2
    assert done.stderr.splitlines()[0].endswith("leave --for and --gpu-memory out")
