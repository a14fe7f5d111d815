"""The fast path through FakeTensorMode gives what torch's own mode gives."""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import AutoConfig

from memlab.options.setup import Setup
from memlab.predicting import fake_tensors, fast_fake_mode, predict

ARMS = (
    ("baseline", "mixed", None),
    ("gradient_checkpointing", "mixed", None),
    ("dora", "mixed", None),
    ("stack", "bf16", "8bit_adamw"),
    ("stack", "bf16", "offload"),
)
SMALL = {"vocab_size": 512, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
FAMILIES = {
    "llama": {"num_key_value_heads": 2, "intermediate_size": 96},
    "gemma3_text": {"num_key_value_heads": 1, "head_dim": 16, "intermediate_size": 96, "sliding_window": 32},
    "gpt2": {},
    "phi": {"intermediate_size": 96},
}


@pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to False:UserWarning")
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("technique", "precision", "step"), ARMS)
def test_a_prediction_is_the_same_by_either_way(monkeypatch, technique, precision, step, family):
    config = AutoConfig.for_model(family, **SMALL, **FAMILIES[family])
    setup = Setup(model="small", batch=2, seq=64, precision=precision, step=step, predict=True, for_="cuda")
    short = predict.predict(technique, config, setup)
    monkeypatch.setattr(fake_tensors, "FastFakeTensorMode", FakeTensorMode)
    long = predict.predict(technique, config, setup)

    assert short.status == "ok"
    assert short.memory == long.memory


@pytest.mark.parametrize(
    "compute",
    [
        lambda a, b: a + b,
        lambda a, b: a * b[:1],
        lambda a, b: a.t() * b.t(),
        lambda a, b: a.t() @ b,
        lambda a, b: a * torch.tensor(2.0),
        lambda a, b: a + b.float(),
        lambda a, b: (a * 2)[:, 1:].t().contiguous(),
        lambda a, b: a.t().to(torch.float32),
        lambda a, b: a.view(-1).unsqueeze(0).expand(3, -1) / 3,
        lambda a, b: torch.nn.functional.silu(a) - b.neg(),
        lambda a, b: torch.nn.functional.linear(a.view(2, 2, 6), b),
        lambda a, b: a.reshape(3, 8).t().reshape(4, 6),
        lambda a, b: a[:, 1:].clone(),
        lambda a, b: a.clone().abs() ** 2,
        lambda a, b: a.float() - a.float().sum(),
        lambda a, b: a - torch.ones((), dtype=torch.float64),
        lambda a, b: torch.empty(3, 5),
        lambda a, b: torch.zeros(3, 5, dtype=torch.uint8),
        lambda a, b: torch.ones(2, 3, 4, 5).to(memory_format=torch.channels_last),
        lambda a, b: torch.empty(2, 3, 4, 5, memory_format=torch.channels_last),
        lambda a, b: torch.empty_like(a, dtype=torch.uint8),
        lambda a, b: torch.zeros_like(a.t()),
        lambda a, b: torch.zeros_like(a > 0),
        lambda a, b: torch.empty(3, 5).uniform_(),
        lambda a, b: torch.empty(3, 5, dtype=torch.float16).normal_().t().zero_(),
        lambda a, b: a.fill_(2),
        lambda a, b: a.t().abs() ** 2,
        lambda a, b: a.t() * b.t().float() - torch.ones((), dtype=torch.bfloat16),
        lambda a, b: a[:, ::2] + b[:, ::2],
        lambda a, b: a[:, None].transpose(0, 2).neg() * b[:, 0],
        lambda a, b: a.t().mean(-1, keepdim=True) + a.mean() - a.float().max(),
        lambda a, b: (a > 0).sum((0, 1)),
        lambda a, b: a.sum(0, dtype=torch.float32),
        lambda a, b: a.add_(b).div_(b.float().max()),
        lambda a, b: torch.arange(6) * 2 / 3,
        lambda a, b: torch.ones(3, 1, 2).expand(3, 4, 2).clone() * torch.ones(4, 1),
    ],
)
def test_a_result_has_the_shape_the_type_and_the_strides_that_a_real_one_has(compute):
    def made():
        return compute(torch.ones(4, 6, dtype=torch.bfloat16), torch.ones(4, 6, dtype=torch.bfloat16))

    real = made()
    with fast_fake_mode.FastFakeTensorMode():
        told = made()

    for ask in (torch.Tensor.size, torch.Tensor.stride, torch.Tensor.storage_offset):
        assert ask(told) == ask(real)
    assert (told.dtype, told.device) == (real.dtype, real.device)
    assert told.untyped_storage().nbytes() == real.untyped_storage().nbytes()
