"""bf16 through fp32 gives what PyTorch's own kernels give, whatever the shapes, and nobody can tell it is there.

Every test registers the kernels itself, so that they are tried on CPUs with bf16 units as well.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily

from memlab.measuring.ledger import Ledger
from memlab.options.setup import Setup
from memlab.predicting import predict
from memlab.results import record
from memlab.results.record import STEPS
from memlab.training import bf16_kernels
from memlab.training.bf16_kernels import (
    BY_TORCH,
    THROUGH_FP32,
    Cpu,
    choose,
    fast_bf16,
    this_cpu,
    through_fp32,
)

RESULTS = Path(__file__).parents[2] / "demos" / "results"
ROUNDING = 2.0**-8
"""The largest relative error of rounding to bf16, which keeps eight bits."""
BF16 = torch.bfloat16

seeded = settings(max_examples=200, derandomize=True, deadline=None, database=None)
fewer = settings(seeded, max_examples=60)
sizes = st.integers(1, 40)
layouts = st.sampled_from(("plain", "transposed", "every other", "expanded"))
betas = st.sampled_from((0, 1, -0.5, 2))
alphas = st.sampled_from((1, -0.5, 2))  # by 0 oneDNN leaves the result as it finds it


@contextmanager
def small_tiles():
    """Register the kernels with tiles so small that every product is put together from several."""
    with pytest.MonkeyPatch.context() as patch:
        for name, size in (("_ROWS", 16), ("_INNER", 12), ("_COLUMNS", 8)):
            patch.setattr(bf16_kernels, name, size)
        with through_fp32():
            yield


def random(*shape, layout="plain", seed=0):
    """Return bf16 numbers that lie in memory as `layout` says."""
    draw = torch.Generator().manual_seed(seed + sum(shape))
    if layout == "transposed":
        return torch.randn((*shape[:-2], shape[-1], shape[-2]), generator=draw).to(BF16).mT
    if layout == "every other":
        return torch.randn((*shape[:-1], shape[-1] * 2), generator=draw).to(BF16)[..., ::2]
    if layout == "expanded":
        return torch.randn((*shape[:-2], 1, shape[-1]), generator=draw).to(BF16).expand(shape)
    return torch.randn(shape, generator=draw).to(BF16)


def agree(ours, theirs, exact, summed):
    """Check that both are `exact` rounded to bf16, but for the rounding of fp32 sums of `summed` at most."""
    assert (ours.dtype, ours.shape, ours.stride()) == (theirs.dtype, theirs.shape, theirs.stride())
    slack = 2.0**-20 * summed + 1e-30
    assert ((ours.double() - exact).abs() <= ROUNDING * exact.abs() + slack).all()
    assert ((ours.double() - theirs.double()).abs() <= 2 * ROUNDING * exact.abs() + 2 * slack).all()


def product(left, right):
    """Return the exact product, and what its terms sum up to without their signs."""
    return left.double() @ right.double(), left.double().abs() @ right.double().abs()


# ---- products ------------------------------------------------------------------------------------------------


@seeded
@given(st.sampled_from(((), (1,), (5,))), sizes, sizes, sizes, layouts, layouts)
def test_products_and_their_gradients_are_torchs_within_rounding(batch, rows, inner, columns, one, other):
    """Forward and backward, of matrices and of batches of them, wherever their numbers lie."""
    left = random(*batch, rows, inner, layout=one)
    right = random(*batch, inner, columns, layout=other, seed=1)
    gradient = random(*batch, rows, columns, seed=2)

    def train():
        a, b = left.detach().requires_grad_(), right.detach().requires_grad_()
        result = torch.bmm(a, b) if batch else torch.mm(a, b)
        result.backward(gradient)
        return result.detach(), a.grad, b.grad

    theirs = train()
    with small_tiles():
        ours = train()
    agree(ours[0], theirs[0], *product(left, right))
    agree(ours[1], theirs[1], *product(gradient, right.mT))
    agree(ours[2], theirs[2], *product(left.mT, gradient))


@seeded
@given(
    st.sampled_from(((), (3,))),
    *(sizes, sizes, sizes),
    *(layouts, layouts),
    *(betas, alphas),
    st.sampled_from(("whole", "row", "column", "number", "vector")),
    st.sampled_from(("new", "out", "out transposed", "in place")),
)
def test_sums_of_products_are_torchs_within_rounding(
    batch, rows, inner, columns, one, other, beta, alpha, added, form
):
    """addmm and baddbmm, with factors, with what is broadcast, into a new tensor, another one, or in place."""
    left = random(*batch, rows, inner, layout=one)
    right = random(*batch, inner, columns, layout=other, seed=1)
    shapes = {"row": (1, columns), "column": (rows, 1), "number": (1,), "vector": (columns,)}
    shape = (*batch, rows, columns)
    add = random(*(shape if form == "in place" else shapes.get(added, shape)), seed=2)
    operator = torch.baddbmm if batch else torch.addmm

    def run():
        if form == "in place":
            start = add.clone()
            result = getattr(start, f"{operator.__name__}_")(left, right, beta=beta, alpha=alpha)
            assert result is start
            return result
        if form == "new":
            return operator(add, left, right, beta=beta, alpha=alpha)
        out = torch.full(shape, float("nan"), dtype=BF16)
        if form == "out transposed":
            out = torch.full((*batch, columns, rows), float("nan"), dtype=BF16).mT
        assert operator(add, left, right, beta=beta, alpha=alpha, out=out) is out
        return out

    theirs = run()
    with small_tiles():
        ours = run()
    exact, summed = product(left, right)
    agree(ours, theirs, beta * add.double() + alpha * exact, abs(beta) * add.double().abs() + 2 * summed)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 3e38])
@pytest.mark.parametrize("beta", [0, 1])
def test_nan_infinity_and_overflow_come_out_as_torchs(value, beta):
    """Also where beta is 0, when what would be added does not count."""
    left, right, add = random(6, 40), random(40, 9, seed=1), random(6, 9, seed=2)
    left[2, 3], add[4, 5] = value, value
    theirs = torch.addmm(add, left, right, beta=beta), left @ right
    with small_tiles():
        ours = torch.addmm(add, left, right, beta=beta), left @ right
    for mine, own in zip(ours, theirs, strict=True):
        assert torch.equal(mine.isnan(), own.isnan())
        assert torch.equal(mine.isinf() * mine.sign(), own.isinf() * own.sign())


EMPTY = [((0, 5), (5, 3)), ((4, 0), (0, 3)), ((4, 5), (5, 0)), ((0, 0), (0, 0))]


@pytest.mark.parametrize(("left", "right"), EMPTY)
def test_empty_matrices_give_what_torch_gives(left, right):
    """No rows, nothing to sum, no columns: also in sums, where what is added is all that there is."""
    add = random(left[0], right[1], seed=2)
    a, b = random(*left), random(*right)
    theirs = a @ b, torch.addmm(add, a, b), torch.bmm(a[None], b[None])
    with through_fp32():
        ours = a @ b, torch.addmm(add, a, b), torch.bmm(a[None], b[None])
    assert all(torch.equal(mine, own) for mine, own in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.int64])
def test_other_types_are_left_to_torch(dtype):
    """Bit for bit, in every form."""
    left, right, add = (random(7, 7, seed=seed).to(dtype) for seed in range(3))

    def run():
        out = torch.empty_like(add)
        torch.mm(left, right, out=out)
        return out, left @ right, torch.addmm(add, left, right), torch.bmm(left[None], right[None])

    theirs = run()
    with through_fp32():
        ours = run()
    assert all(torch.equal(mine, own) for mine, own in zip(ours, theirs, strict=True))


REFUSED = {
    "shapes": lambda: random(3, 4) @ random(5, 6),
    "types": lambda: torch.mm(random(3, 4), torch.ones(4, 5)),
    "dimensions": lambda: torch.mm(random(2, 3, 4), random(4, 5)),
    "batches": lambda: torch.bmm(random(2, 3, 4), random(3, 4, 5)),
    "what is added": lambda: torch.addmm(random(7, 7), random(3, 4), random(4, 5)),
    "out": lambda: torch.mm(random(3, 4), random(4, 5), out=torch.empty(3, 5)),
    "in place": lambda: random(1, 5).addmm_(random(3, 4), random(4, 5)),
    "out that is written over itself": lambda: torch.mm(
        random(3, 4), random(4, 5), out=torch.empty(1, 1, dtype=BF16).expand(3, 5)
    ),
}


@pytest.mark.parametrize("refused", REFUSED.values(), ids=REFUSED)
def test_what_torch_refuses_is_refused_in_its_words(refused):
    """The kernels take only what is in order; the rest goes to torch's, which says what is wrong."""
    with pytest.raises(Exception) as theirs:
        refused()
    with through_fp32(), pytest.raises(type(theirs.value)) as ours:
        refused()
    assert str(ours.value) == str(theirs.value)


def test_an_output_that_is_an_operand_too_is_no_trap():
    """Tiles that are written must not be read as operands afterwards: torch's kernel takes such a product."""
    square = random(40, 40)
    exact, summed = product(square, square)
    theirs, ours = square.clone(), square.clone()
    torch.addmm(theirs, square, square, out=theirs)
    with small_tiles():
        torch.addmm(ours, square, square, out=ours)
        agree(ours, theirs, square.double() + exact, square.double().abs() + summed)
        aliased = square.clone()
        aliased.addmm_(aliased, aliased.mT)
    own = square.clone()
    own.addmm_(own, own.mT)
    torch.testing.assert_close(aliased, own, rtol=0, atol=0, equal_nan=True)


# ---- modes ---------------------------------------------------------------------------------------------------


def test_modes_and_gradients_are_as_without():
    """Autocast casts what it did, and what needs gradients or is made in inference mode is marked so."""
    linear = torch.nn.Linear(8, 6)
    x = torch.randn(4, 8)

    def run():
        with torch.autocast("cpu", BF16):
            trained = linear(x)
            into = torch.empty(4, 6, dtype=BF16)
            with torch.no_grad():
                torch.mm(x.to(BF16), linear.weight.to(BF16).T, out=into)
        with torch.inference_mode():
            inferred = x.to(BF16) @ linear.weight.to(BF16).T
        with torch.no_grad():
            plain = x.to(BF16) @ linear.weight.to(BF16).T
        results = trained, into, inferred, plain
        return [(r.dtype, r.requires_grad, r.is_inference(), r.is_leaf) for r in results]

    theirs = run()
    with through_fp32():
        assert run() == theirs


def test_threads_do_not_share_buffers():
    """Products that run at the same time give what they give alone."""
    operands = [(random(64, 64, seed=seed), random(64, 64, seed=seed + 1)) for seed in range(4)]
    found = {}
    with small_tiles():
        alone = [left @ right for left, right in operands]

        def work(index):
            found[index] = all(
                torch.equal(operands[index][0] @ operands[index][1], alone[index]) for _ in range(20)
            )

        threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == dict.fromkeys(range(4), True)


def test_torchs_kernels_are_back_afterwards():
    """Also after an error, and after a block inside a block."""
    left, right = random(40, 300), random(300, 40, seed=1)
    before = torch.library.get_kernel("aten::mm", "CPU")
    theirs = left @ right
    with pytest.raises(ZeroDivisionError), through_fp32(), through_fp32():
        agree(left @ right, theirs, *product(left, right))
        raise ZeroDivisionError
    assert torch.equal(left @ right, theirs)
    assert repr(torch.library.get_kernel("aten::mm", "CPU")) == repr(before)


# ---- attention -----------------------------------------------------------------------------------------------


@fewer
@given(
    *(st.integers(1, 3), st.integers(1, 4), st.integers(1, 48), st.integers(1, 48)),
    st.sampled_from((8, 16, 40)),
    st.sampled_from(("none", "causal", "mask")),
    st.booleans(),
)
def test_attention_and_its_gradients_are_torchs_within_rounding(
    batch, heads, queries, keys, width, masked, transposed
):
    """No further from exact attention than torch's own kernel, but for one rounding; and laid out as torch's."""

    def heads_of(length, seed):
        if transposed:
            return random(batch, length, heads, width, seed=seed).transpose(1, 2)
        return random(batch, heads, length, width, seed=seed)

    inputs = heads_of(queries, 0), heads_of(keys, 1), heads_of(keys, 2)
    gradient = heads_of(queries, 3)
    options = {"is_causal": masked == "causal"}
    if masked == "mask":
        options["attn_mask"] = random(batch, 1, queries, keys, seed=4)

    def attend(to=lambda tensor: tensor):
        leaves = [to(one).detach().requires_grad_() for one in inputs]
        own = {name: to(value) if name == "attn_mask" else value for name, value in options.items()}
        result = torch.nn.functional.scaled_dot_product_attention(*leaves, **own)
        result.backward(to(gradient))
        return [result.detach(), *(leaf.grad for leaf in leaves)]

    exact, theirs = attend(lambda tensor: tensor.double()), attend()
    with through_fp32():
        ours = attend()
    for mine, own, true in zip(ours, theirs, exact, strict=True):
        assert (mine.dtype, mine.shape, mine.stride()) == (own.dtype, own.shape, own.stride())
        largest = true.abs().max()
        worst = (own.double() - true).abs().max()
        assert (mine.double() - true).abs().max() <= worst + 2 * ROUNDING * largest + 2.0**-18


# ---- nobody can tell -----------------------------------------------------------------------------------------

TECHNIQUES = ("baseline", "lora", "qlora", "gradient_checkpointing", "pissa", "dora")
PLAIN = [(name, precision, {}) for name in TECHNIQUES for precision in ("mixed", "bf16")]
STACK = [("stack", "bf16", {"step": step}) for step in STEPS if step != "offload"]


@pytest.mark.parametrize(
    ("name", "precision", "options"),
    [pytest.param(*arm, id="-".join([*arm[:2], *arm[2].values()])) for arm in PLAIN + STACK],
)
def test_the_ledger_sees_the_same_bytes(arm, name, precision, options):
    """Every birth and death of the step, and the loss within rounding; so the peak and what it is made of."""
    it = arm(name, precision, **options)
    theirs = it.trainer.ledger_step(it.batches[1])
    with through_fp32():
        ours = it.trainer.ledger_step(it.batches[1])
        loss = it.trainer.step(it.batches[2])
    assert ours.peak() == theirs.peak()
    assert ours.alive() == theirs.alive()
    # Under checkpoints autocast drops its copies at the end of the forward pass, in no certain order.
    if (name, precision) != ("gradient_checkpointing", "mixed"):
        every = 10**6
        assert [point[1:] for point in ours.timeline(every)] == [
            point[1:] for point in theirs.timeline(every)
        ]
    assert loss.isfinite()


def test_the_buffers_are_nobodys_business():
    """Made under a ledger they are not counted, under fake tensors they are real, whatever the usual type is."""
    square = random(8, 8)
    with Ledger("cpu") as ledger, through_fp32():
        watched = square @ square
    assert ledger.peak().total == square.nbytes + watched.nbytes
    torch.set_default_dtype(torch.float64)
    try:
        with FakeTensorMode(), through_fp32(), unset_fake_temporarily():
            beside = square @ square
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(beside, watched)


def test_fake_tensors_never_reach_the_kernels():
    """They have no numbers to convert."""
    with through_fp32(), FakeTensorMode():
        assert (torch.empty(3, 4, dtype=BF16) @ torch.empty(4, 5, dtype=BF16)).shape == (3, 5)


# ---- when ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cpu", "name", "warned"),
    [
        (Cpu("x86_64", onednn=True, onednn_takes_bf16=True), BY_TORCH, False),
        (Cpu("x86_64", onednn=True, onednn_takes_bf16=False), THROUGH_FP32, False),
        (Cpu("amd64", onednn=True, onednn_takes_bf16=False), THROUGH_FP32, False),
        (Cpu("x86_64", onednn=False, onednn_takes_bf16=True), THROUGH_FP32, False),
        (Cpu("aarch64", onednn=True, onednn_takes_bf16=True), BY_TORCH, False),
        (Cpu("aarch64", onednn=True, onednn_takes_bf16=False), THROUGH_FP32, False),
        (Cpu("arm64", onednn=False, onednn_takes_bf16=None), THROUGH_FP32, False),
        (Cpu("x86_64", onednn=True, onednn_takes_bf16=None), BY_TORCH, True),
        (Cpu("riscv64", onednn=False, onednn_takes_bf16=None), BY_TORCH, True),
        (Cpu("ppc64le", onednn=True, onednn_takes_bf16=False), BY_TORCH, True),
    ],
)
def test_the_kernel_follows_from_the_cpu(cpu, name, warned):
    """One that is not known keeps torch's kernel, and a line says so."""
    choice = choose(cpu)
    assert choice.name == name
    assert bool(choice.warning) == warned
    assert "\n" not in (choice.warning or "")


def test_switching_onednn_off_is_heeded():
    """PyTorch asks its flag before it asks oneDNN."""
    torch._C._set_mkldnn_enabled(False)
    try:
        assert not this_cpu().onednn
    finally:
        torch._C._set_mkldnn_enabled(True)
    assert this_cpu().onednn == torch.backends.mkldnn.is_available()


class _RegisteredError(Exception):
    pass


def _refuse():
    raise _RegisteredError


def test_kernels_are_registered_for_a_measurement_on_a_cpu_and_for_nothing_else(monkeypatch, finished):
    """Not on a GPU, not where torch's own are fast, not under prediction."""
    monkeypatch.setattr(bf16_kernels, "_Kernels", _refuse)
    slow = Cpu("x86_64", onednn=True, onednn_takes_bf16=False)
    monkeypatch.setattr(bf16_kernels, "this_cpu", lambda: slow)
    with fast_bf16(torch.device("cuda")) as choice:
        assert choice.name == BY_TORCH
    predicted = predict.predict("lora", None, Setup(model="tiny", batch=2, seq=32))
    assert (predicted.status, predicted.device.bf16_kernel) == ("ok", None)
    with pytest.raises(_RegisteredError), fast_bf16(torch.device("cpu")):
        pass
    assert finished("lora", again=True).status == "failed"
    monkeypatch.setattr(bf16_kernels, "this_cpu", lambda: Cpu("x86_64", True, True))
    with fast_bf16(torch.device("cpu")) as choice:
        assert choice.name == BY_TORCH


# ---- the record ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cpu", "name"),
    [(Cpu("x86_64", True, False), THROUGH_FP32), (Cpu("x86_64", True, True), BY_TORCH)],
)
def test_a_record_says_which_kernel_ran_and_on_how_many_threads(monkeypatch, finished, cpu, name):
    """Times depend on both, memory on neither, and so the file's name does not."""
    monkeypatch.setattr(bf16_kernels, "this_cpu", lambda: cpu)
    one = finished("lora", precision="bf16", again=True)
    assert (one.status, one.message) == ("ok", None)
    assert (one.device.bf16_kernel, one.device.threads) == (name, torch.get_num_threads())
    without = one.model_copy(
        update={"device": one.device.model_copy(update={"bf16_kernel": None, "threads": None})}
    )
    assert without.slug == one.slug
    assert "bf16_kernel" in one.to_text() and "bf16_kernel" not in without.to_text()


def test_a_cpu_that_is_not_known_is_told_of_in_the_record(monkeypatch, finished):
    """One line, in the field where a run says what is odd about it."""
    monkeypatch.setattr(bf16_kernels, "this_cpu", lambda: Cpu("riscv64", False, None))
    one = finished("lora", again=True)
    assert one.status == "ok" and "riscv64" in one.message


def test_records_from_before_are_written_as_they_were():
    """Every published measurement, to the byte."""
    paths = sorted(path for folder in ("cpu", "cuda") for path in RESULTS.glob(f"{folder}/*.json"))
    assert paths
    assert [path.name for path in paths if record.read(path).to_text() != path.read_text()] == []
