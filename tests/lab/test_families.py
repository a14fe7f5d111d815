"""Configurations of all kinds: mixtures of experts are predicted to the byte, and nonsense gets one clear line."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from memlab.measuring.run import Run
from memlab.options.demo import load
from memlab.options.setup import Setup, UsageError
from memlab.predicting import predict

SMALL = {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
LLAMA = SMALL | {"model_type": "llama"}
GPT2 = {"model_type": "gpt2", "vocab_size": 512, "n_embd": 64, "n_head": 4, "n_layer": 2}
EXPERTS = {
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "qwen3_moe": {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "head_dim": 16},
}
SETUP = Setup(batch=2, seq=64, steps=1, warmup=1, precision="bf16")


def _file(tmp_path, fields):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(fields))
    return str(path)


@pytest.mark.filterwarnings(r"ignore:The following \w+_pattern keys did not match:RuntimeWarning")
@pytest.mark.parametrize(
    ("technique", "precision"),
    [("lora", "bf16"), ("gradient_checkpointing", "bf16"), ("baseline", "mixed"), ("lora", "mixed")],
)
@pytest.mark.parametrize("family", EXPERTS)
def test_a_mixture_of_experts_is_predicted_as_it_is_measured(tmp_path, family, technique, precision):
    model = _file(tmp_path, SMALL | EXPERTS[family] | {"model_type": family})
    setup = replace(SETUP, model=model, random_init=True, precision=precision)
    demo = load(technique)
    real = Run(demo, replace(demo.fit(setup), device="cpu"), seed=0, command="python demos")

    measured = real.measure(lambda *_: None)
    told = predict.predict(technique, None, setup)

    assert told.status == measured.status == "ok"
    assert told.memory.breakdown_at_peak == measured.memory.breakdown_at_peak


def test_what_a_technique_cannot_take_is_said_in_its_librarys_words(tmp_path):
    """PEFT has no DoRA for experts, whose weights are one tensor."""
    model = _file(tmp_path, SMALL | EXPERTS["mixtral"] | {"model_type": "mixtral"})

    told = predict.predict("dora", None, replace(SETUP, model=model))

    assert told.status == "failed"
    assert told.message == "ValueError while predicting: lora.ParamWrapper does not work with use_dora=True."


def test_attention_that_only_cuda_has_a_kernel_for_is_not_predicted_for_cuda(tmp_path):
    """DeepSeek's values are narrower than its keys: a CPU keeps all scores there, and CUDA does not."""
    narrow = {"qk_nope_head_dim": 16, "qk_rope_head_dim": 8, "v_head_dim": 16, "kv_lora_rank": 16}
    fields = SMALL | narrow | {"model_type": "deepseek_v2", "q_lora_rank": None, "first_k_dense_replace": 2}
    setup = replace(SETUP, model=_file(tmp_path, fields | {"num_key_value_heads": 4}))

    assert predict.predict("baseline", None, setup).status == "ok"
    told = predict.predict("baseline", None, replace(setup, for_="cuda"))
    assert told.status == "failed"
    assert told.message.startswith("cannot be predicted: its attention has no fused kernel on a CPU")


def test_a_length_without_a_limit_is_none(tmp_path):
    model = _file(tmp_path, LLAMA | {"max_position_embeddings": -1})

    assert predict.predict("baseline", None, replace(SETUP, model=model)).status == "ok"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"model_type": "gemma3"}, "holds more than a language model; save its text_config, with model_type gemma3_text"),
        (LLAMA | {"num_attention_heads": 5}, "The hidden size (64) is not a multiple of the number of attention heads (5)"),
        (LLAMA | {"num_hidden_layers": 0}, "num_hidden_layers is 0; a whole number from 1"),
        (LLAMA | {"head_dim": -8}, "head_dim is -8; a whole number from 1"),
        (LLAMA | {"vocab_size": "many"}, "Field 'vocab_size' expected int, got str (value: 'many')"),
        (LLAMA | {"hidden_act": "nope"}, "hidden_act names 'nope', which transformers does not know"),
        (LLAMA | {"rope_scaling": {"rope_type": "nope"}}, "names 'nope', which transformers does not know"),
        (GPT2 | {"n_embd": -64}, "n_embd is -64; a whole number from 1"),
        (GPT2 | {"n_head": 5}, "`embed_dim` must be divisible by num_heads (got `embed_dim`: 64 and `num_heads`: 5)"),
        ([LLAMA], "holds no configuration; its JSON is a list"),
    ],
)  # fmt: skip
def test_nonsense_is_refused_in_one_line_that_names_the_field(tmp_path, fields, words):
    with pytest.raises(UsageError) as refused:
        predict.predict("lora", None, replace(SETUP, model=_file(tmp_path, fields)))

    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_gpt2s_linear_layers_are_quantized_although_they_lie_the_other_way_round(tmp_path):
    told = predict.predict("qlora", None, replace(SETUP, model=_file(tmp_path, GPT2)))

    assert told.status == "ok"
    assert told.setup.base_dtype == "bfloat16, linear layers nf4"
