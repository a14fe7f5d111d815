"""ZeRO on the tiny model, with real ranks on the CPU: what each rank keeps, and that training stays the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from memlab.options.command_line import parse
from memlab.options.demo import load
from memlab.options.setup import Setup, UsageError
from memlab.results import record, zero_formulas
from memlab.running import torchrun as launcher
from memlab.training.model import find
from records import make_record

pytest.importorskip("deepspeed", reason="DeepSpeed is not installed here (it comes with the demos, on Linux)")

pytestmark = pytest.mark.slow

DEMOS = Path(__file__).parents[2] / "demos"
STAGES = (0, 1, 2, 3)
WORK = ("--model", "tiny", "--batch", "2", "--seq", "64")
TINY = (*WORK, "--device", "cpu", "--steps", "2", "--warmup", "1")
VARIANTS = {
    1: [f"bf16-{stage}" for stage in STAGES],
    2: [f"{kind}-{stage}" for kind in ("bf16", "fp32") for stage in STAGES] + ["whole-3", "bf16-2-offload"],
}
CASES = [
    (ranks, int(variant[-1])) for ranks in VARIANTS for variant in VARIANTS[ranks] if variant[:-1] == "bf16-"
]


@pytest.fixture(scope="module")
def ranks(tmp_path_factory, warm_python):
    """Return a function that gives the records of all ranks of a variant; one launch serves all variants."""
    launched = {}

    def run(n: int, variant: str) -> list[record.Record]:
        if n not in launched:
            launched[n] = tmp_path_factory.mktemp(f"ranks{n}")
            torchrun = [
                sys.executable,
                "-m",
                "torch.distributed.run",
                "--standalone",
                f"--nproc-per-node={n}",
                "--no-python",
                warm_python,
            ]
            script = Path(__file__).with_name("zero_ranks.py")
            answer = subprocess.run(
                [*torchrun, str(script), str(launched[n]), str(n), *VARIANTS[n]],
                capture_output=True,
                text=True,
                env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
                timeout=1800,
            )
            assert answer.returncode == 0, answer.stderr[-3000:]
        return [record.read(launched[n] / f"{variant}-{index}.json") for index in range(n)]

    return run


def sizes() -> list[int]:
    """The tiny model's parameters, in the order in which DeepSpeed lays them out."""
    import torch

    model = find(Setup(model="tiny", rank=None, alpha=None)).load(torch.bfloat16, torch.device("cpu"))
    return [parameter.numel() for parameter in model.parameters()]


def whole_tensors(n: int, index: int) -> int:
    """Elements of the tensors that lie in a rank's part, those that reach beyond it in full."""
    part = sum(sizes()) / n
    found = offset = 0
    for size in sizes():
        if offset < part * (index + 1) and offset + size > part * index:
            found += size
        offset += size
    return found


# ---- what a rank keeps -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("n, stage", CASES)
def test_each_rank_keeps_what_the_paper_says(ranks, n, stage):
    """Within 1 % of 16 Ψ, 4 Ψ + 12 Ψ/N, 2 Ψ + 14 Ψ/N and 16 Ψ/N, kind by kind.

    One difference is larger on a model as small as this, and has a name: stage 2 keeps the gradient of a tensor
    that lies across two parts whole in both ranks.
    """
    for one in ranks(n, f"bf16-{stage}"):
        formula = zero_formulas.paper(stage, n, one.setup.parameters)
        if stage == 2:
            formula["gradients"] = 2 * whole_tensors(n, one.setup.rank_index)
        for kind, nbytes in formula.items():
            assert getattr(one.states, f"{kind}_bytes") == pytest.approx(nbytes, rel=0.01), kind
        assert one.states.total == pytest.approx(sum(formula.values()), rel=0.01)
        assert one.states.host_bytes == 0


def test_a_weight_left_whole_is_noticed(ranks):
    """With DeepSpeed's usual threshold stage 3 shards nothing of a small model, and the count says so."""
    for whole, parts in zip(ranks(2, "whole-3"), ranks(2, "bf16-3"), strict=True):
        psi = whole.setup.parameters
        assert whole.states.parameters_bytes == pytest.approx(2 * psi + psi, rel=0.01)  # and its part as well
        assert parts.states.parameters_bytes == pytest.approx(psi, rel=0.01)


LARGEST_BYTES = 65_536
"""Of the tiny model's largest tensor, the embedding, in bf16; a copy of each tensor would be 106,816."""


@pytest.mark.parametrize("sharded", [2, 3])
def test_zero_is_predicted_rank_by_rank_as_it_is_measured(ranks, run_demo, tmp_path, sharded):
    """DeepSpeed shards tensors without memory, without a second process: to the byte, but for one copy.

    On a loaded machine gloo's thread may hold what it has reduced for a moment longer. The copies that it makes
    in stage 3 are another thing: measured, they must not count as having been there before.
    """
    options = ("--stage", str(sharded), "--ranks", "2", "--out", str(tmp_path))
    done = run_demo("zero.py", "--predict", *WORK, *options)
    assert done.returncode == 0, done.stderr
    found = [record.read(path) for path in tmp_path.glob("*.json")]
    assert {one.mode for one in found} == {"predicted"} and {one.status for one in found} == {"ok"}
    of = {(one.setup.stage, one.setup.rank_index): one for one in found}
    assert set(of) == {(stage, index) for stage in (0, sharded) for index in (None, 0, 1)}
    for (stage, index), told in of.items():
        assert told.message is None
        if index is not None:
            measured = ranks(2, f"bf16-{stage}")[index]
            assert told.memory.breakdown_at_peak and measured.memory.breakdown_at_peak and told.states
            for kind in record.KINDS:
                late = getattr(measured.memory.breakdown_at_peak, kind) - getattr(
                    told.memory.breakdown_at_peak, kind
                )
                assert 0 <= late <= (LARGEST_BYTES if kind == "other" else 0), kind
            late = measured.states.buffers_bytes - told.states.buffers_bytes
            assert 0 <= late <= LARGEST_BYTES
            assert told.states.total == measured.states.total


def test_buffers_are_no_model_states(ranks):
    """The bucket of 500,000 bf16 elements is reported, and in no other kind."""
    for stage in (1, 2, 3):
        for one in ranks(2, f"bf16-{stage}"):
            assert 1_000_000 <= one.states.buffers_bytes < 1_000_000 + 4 * one.setup.parameters


def test_the_breakdown_counts_the_same_storages(ranks):
    """Weights and optimizer state between two steps are the ledger's, whose timeline ends there."""
    for one in ranks(2, "bf16-2"):
        weights, _, _, optimizer = one.memory.timeline[-1][1:5]
        assert weights == one.states.parameters_bytes
        assert optimizer == one.states.master_bytes + one.states.moments_bytes


# ---- that training stays the same ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind, tolerance", [("fp32", 1e-6), ("bf16", 1e-3)])
def test_every_stage_has_the_same_losses(ranks, kind, tolerance):
    """Sharding changes where numbers are kept, not what they are."""
    plain = ranks(2, f"{kind}-0")[0].learning
    assert plain.losses[-1] < plain.losses[0]
    for stage in (1, 2, 3):
        learning = ranks(2, f"{kind}-{stage}")[0].learning
        assert learning.losses == pytest.approx(plain.losses, rel=tolerance)
        assert learning.eval_loss_after == pytest.approx(plain.eval_loss_after, rel=tolerance)


def test_ranks_report_one_loss_and_train_on_different_tokens(ranks):
    """The loss is the mean over ranks, and two ranks see twice the tokens of one."""
    a, b = ranks(2, "bf16-2")
    assert a.learning.losses == b.learning.losses != ranks(1, "bf16-2")[0].learning.losses


def test_offloading_on_a_cpu_says_that_it_moves_nothing(ranks):
    """The same losses, and a message."""
    offloaded, plain = ranks(2, "bf16-2-offload")[0], ranks(2, "bf16-2")[0]
    assert "offloading moves nothing" in offloaded.message
    assert offloaded.learning.losses == pytest.approx(plain.learning.losses, rel=1e-3)


# ---- as a user runs it -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def first(run_demo, tmp_path_factory):
    """`python demos/zero.py --stage 3` once: stage 0 and stage 3 on two ranks."""
    out = tmp_path_factory.mktemp("out")
    answer = run_demo("zero.py", *TINY, "--stage", "3", "--out", str(out), cwd=out)
    assert answer.returncode == 0, answer.stderr
    return out, answer


def test_every_rank_leaves_a_record_and_one_stands_for_all(first):
    """The one for all is the heaviest rank's."""
    out, _ = first
    records = [record.read(path) for path in out.glob("*.json")]
    for stage in (0, 3):
        found = {one.setup.rank_index: one for one in records if one.setup.stage == stage}
        assert set(found) == {None, 0, 1}
        assert all(one.status == "ok" and one.setup.ranks == 2 for one in found.values())
        whole = found.pop(None)
        assert whole.memory.peak_bytes == max(one.memory.peak_bytes for one in found.values())
        assert whole.states.total == max(one.states.total for one in found.values())


def test_the_table_shows_each_kind_beside_the_papers_formula(first):
    """And nothing of what the libraries print."""
    _, answer = first
    for words in (
        "zero stage 0 × 2",
        "zero stage 3 × 2",
        "Model states of one rank",
        "16.000",
        "8.000",
        "buffers",
    ):
        assert words in answer.stdout
    lines = [line for line in answer.stderr.splitlines() if line.strip()]
    assert all(line.startswith("wrote ") or "seed 0" in line for line in lines), answer.stderr


# ---- runs that do not end well ---------------------------------------------------------------------------------

DEMO = '''"""A demo."""
import sys
sys.path.insert(0, {demos!r})
from memlab import Demo, launch


def build(lab):
    import os, signal, torch
    if os.environ["RANK"] == "1":
        {body}
    torch.distributed.barrier()  # rank 0 waits here for the one that will not come


DEMO = Demo("zero", build, lr=1e-4, sharded=True)

if __name__ == "__main__":
    launch.main(DEMO, __doc__)
'''


def broken(folder: Path, body: str, python: str = sys.executable) -> list[str]:
    """Return the command of a demo whose second rank does `body`."""
    script = folder / "zero.py"
    script.write_text(DEMO.format(demos=str(DEMOS), body=body))
    return [python, str(script), *TINY, "--stage", "0"]


@pytest.mark.parametrize(
    "body, code, status, message",
    [
        ("os.kill(os.getpid(), signal.SIGTERM)", 1, "failed", "rank 1 ended with status -15, while loading"),
        (
            "os.kill(os.getpid(), signal.SIGKILL)",
            0,
            "oom",
            "rank 1 killed, most likely for lack of memory, while loading",
        ),
        ("raise KeyError('no part')", 1, "failed", "rank 1: KeyError while loading: 'no part'"),
    ],
)
def test_a_rank_that_dies_ends_the_run_and_leaves_a_record(
    tmp_path, warm_python, body, code, status, message
):
    """The other rank, which waits for it, is ended; nobody hangs."""
    answer = subprocess.run(broken(tmp_path, body, warm_python), capture_output=True, text=True, timeout=1800)
    assert answer.returncode == code, answer.stderr
    (one,) = [record.read(path) for path in (tmp_path / "out").glob("*.json")]
    assert (one.status, one.message) == (status, message)
    assert (one.setup.ranks, one.setup.stage, one.setup.rank_index, one.states) == (2, 0, None, None)


@pytest.mark.parametrize(
    "codes, message, cause",
    [
        (
            {1: 1, 0: -15},
            "KeyError while loading: 'no part'",
            None,
        ),  # the agent ended rank 0, after rank 1 failed
        ({1: 1, 0: -9}, "KeyError while loading: 'no part'", "rank 0 "),  # but it never sends that first
        ({0: -15, 1: 1}, "RuntimeError while training: Connection closed by peer [127.0.0.1]:1", "rank 0 "),
        ({0: -9, 1: 1}, "DistBackendError while training: remote process exited", "rank 0 "),
    ],
)
def test_of_two_ranks_the_one_that_failed_first_is_the_cause(codes, message, cause):
    """torchrun's agent lists the ranks that it ended itself beside those that failed."""
    failed = make_record("zero", status="failed", stage=0, ranks=2, rank_index=1)
    told = launcher._message([failed.model_copy(update={"message": message})], codes, 2)
    if cause is None:
        assert record.Record.model_validate_json(told["record"]).message == f"rank 1: {message}"
    else:
        assert (told["who"], told["code"]) == (cause, codes[0])


def test_ctrl_c_ends_every_rank(tmp_path):
    """Also when only the process that the user started hears of it."""
    command = broken(tmp_path, "pass")
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        ranks = _wait_for_ranks(process.pid)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=600)
    assert process.returncode == 130 and errors.strip().splitlines()[-1] == "zero.py: stopped"
    gone, alive = psutil.wait_procs(ranks, timeout=600)
    assert len(gone) == 2 and not alive


def _wait_for_ranks(parent: int) -> list[psutil.Process]:
    """Return the two ranks once they are well into their imports."""
    while True:
        ranks = [
            child
            for child in psutil.Process(parent).children(recursive=True)
            if child.ppid() != parent and child.memory_info().rss > 50 * 2**20
        ]
        if len(ranks) == 2:
            return ranks


# ---- what is refused -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words, message",
    [
        ("--stage 4", "--stage 4: ZeRO has the stages 0, 1, 2 and 3"),
        ("--ranks 0", "--ranks: '0' is not a whole number from 1 up"),
        ("--stage 0 --offload", "--offload: stage 0 shards nothing and offloads nothing"),
        ("--precision bf16", "--precision bf16: ZeRO's states are those of mixed precision"),
    ],
)
def test_what_zero_cannot_do_is_refused(tmp_path, words, message):
    """Before anything is loaded."""
    with pytest.raises(UsageError) as refused:
        _parse(words, tmp_path)
    assert str(refused.value).startswith(message)


def test_a_missing_deepspeed_is_named_before_anything_is_loaded(tmp_path, monkeypatch):
    """With what to do about it."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name, package=None: None)
    with pytest.raises(UsageError) as refused:
        _parse("--stage 1", tmp_path)
    assert "pip install deepspeed" in str(refused.value) and "\n" not in str(refused.value)


def test_more_ranks_than_gpus_are_refused(monkeypatch):
    """NCCL would hang or fail on two ranks that share a GPU."""
    import torch

    from memlab.measuring import hardware

    monkeypatch.setattr(hardware, "choose", lambda name: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UsageError) as refused:
        launcher.start(Setup(model="tiny", stage=2, ranks=2))
    assert str(refused.value).startswith("--ranks 2: each rank needs a GPU of its own, and torch finds 1;")


def test_other_demos_have_no_stage(tmp_path):
    """And leave none in their records."""
    with pytest.raises(UsageError):
        _parse("--stage 1", tmp_path, sharded=False)
    setup = _parse("", tmp_path, sharded=False)
    assert (setup.stage, setup.ranks, setup.offload) == (None, None, False)


def _parse(words: str, home: Path, *, sharded: bool = True) -> Setup:
    arguments = ["--model", "tiny", *words.split()]
    setup, _ = parse(arguments, replace(load("zero"), sharded=sharded), "", home=home)
    return setup
