"""A model's config.json with values that no model has: the form takes it or says why not, and so does the lab."""

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path
from typing import Any

from fuzz.trial import Trial, attempt
from steelyard.web.lab.ask import _config
from steelyard.web.lab.options import OptionError

LLAMA = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
    "hidden_act": "silu",
    "tie_word_embeddings": True,
    "attention_dropout": 0.1,
    "rope_theta": 10_000.0,
    "torch_dtype": "bfloat16",
}
TYPES = [
    "gpt2",
    "mistral",
    "qwen2",
    "gemma2",
    "phi3",
    "bert",
    "t5",
    "vit",
    "mixtral",
    "mamba",
    "opt",
    "bloom",
    "clip",
    "",
    "x" * 500,
]
NAMES = [
    *(
        "rope_scaling",
        "rope_parameters",
        "quantization_config",
        "auto_map",
        "text_config",
        "sub_configs",
        "attribute_map",
    ),
    *(
        "layer_types",
        "num_experts",
        "sliding_window",
        "pad_token_id",
        "bos_token_id",
        "head_dim",
        "is_decoder",
        "n_layer",
    ),
    *(
        "attn_implementation",
        "_attn_implementation",
        "dtype",
        "id2label",
        "num_labels",
        "label2id",
        "problem_type",
    ),
    *(
        "model_type",
        "transformers_version",
        "__class__",
        "to_dict",
        "keys",
        "torch_dtype",
        "return_dict",
        "\ud800",
        "",
    ),
]
VALUES: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        2**31,
        2**63,
        10**400,
        0.5,
        -0.0,
        1e308,
        "",
        "x",
        "llama",
        "\u0000",
        "\ud83d",
        "é" * 300,
    ),
    *(
        [],
        {},
        [1],
        ["a"],
        {"a": 1},
        {"type": "linear", "factor": 2},
        {"rope_type": "x"},
        [[[[1]]]],
        {"quant_method": "x"},
    ),
    *({"model_type": "llama"}, {"": {}}, {"0": "a", "x": 1}, ["full_attention"], "float99", "../x", "a.b.C"),
]


def config(random: random.Random) -> str:
    """Return the text of a configuration after some changes of its values, keys or characters."""
    fields: dict[str, Any] = dict(LLAMA)
    if random.random() < 0.3:
        fields["model_type"] = random.choice(TYPES)
    for _ in range(random.randint(1, 4)):
        match random.randrange(4):
            case 0:
                fields[random.choice(list(LLAMA))] = random.choice(VALUES)
            case 1:
                fields[random.choice(NAMES)] = random.choice(VALUES)
            case 2:
                fields.pop(random.choice(list(LLAMA)), None)
            case 3:
                value = random.choice(VALUES)
                for _ in range(random.choice([3, 12, 13, 14, 15, 100])):
                    value = random.choice([[value], {"a": value}])
                fields[random.choice(NAMES)] = value
    text = json.dumps(fields)
    if random.random() < 0.2:
        at = random.randrange(len(text))
        junk = random.choice(
            ["[" * 9000, "NaN", "1e999", ",", "}", '"', "\\", "-", "9" * 5000, "\x00", '"a": 1, "a": 2, ']
        )
        text = text[:at] + junk + text[at:]
    return text


def try_config(random: random.Random) -> Trial:
    """Read a configuration as the form does, then as the lab does: `taken` or `refused`."""
    text = config(random)
    return attempt(text.encode(), lambda: _judge(text))


def _judge(text: str) -> tuple[str, list[str]]:
    from memlab.options.setup import Setup, UsageError
    from memlab.training.model import find

    complaints = []
    try:
        _, kept = _config(text)
    except OptionError as error:
        complaints += [str(error)] if "\n" in str(error) else []
        kept = text
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        path = Path(folder) / "config.json"
        path.write_text(kept, encoding="utf-8")
        try:
            find(Setup(model=str(path), random_init=True, seq=64))
        except UsageError as error:
            return "refused", [*complaints, *([str(error)] if "\n" in str(error) else [])]
    return "taken", complaints
