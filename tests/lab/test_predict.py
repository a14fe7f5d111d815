"""A prediction is what the ledger would measure: on the tiny model, every technique, to the byte."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from transformers import BertConfig, LlamaConfig, T5Config

from memlab.measuring.run import Run
from memlab.options.demo import load
from memlab.options.setup import Setup, UsageError
from memlab.predicting import fake_tensors, predict
from memlab.predicting.run import PredictedRun
from memlab.results.files import HOME
from memlab.results.record import STEPS, Record
from memlab.results.techniques import PLAIN

SMALL = Setup(model="tiny", batch=2, seq=64, steps=2, warmup=1, lr=1e-3, rank=16, alpha=16.0)
"""What `finished` measures: each arm is measured once for these tests and for those of the run."""

ARMS = [
    *((one.name, "mixed", None) for one in PLAIN),
    *((name, "bf16", None) for name in ("baseline", "lora", "qlora")),
    *(("stack", "bf16", step) for step in STEPS),
]
_LLAMA = {
    "model_type": "llama",
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 256,
}
_GROUPED = {"num_key_value_heads": 2, "head_dim": 16}
FAMILIES = {
    "llama": _LLAMA | {"tie_word_embeddings": False},
    "qwen2": _LLAMA | _GROUPED | {"model_type": "qwen2", "tie_word_embeddings": True},
    "qwen3": _LLAMA | _GROUPED | {"model_type": "qwen3"},
    "mistral": _LLAMA | _GROUPED | {"model_type": "mistral"},
    "gemma": _LLAMA | _GROUPED | {"model_type": "gemma"},
    "gemma2": _LLAMA | _GROUPED | {"model_type": "gemma2", "sliding_window": 48},
    "gpt2": {
        "model_type": "gpt2",
        "vocab_size": 512,
        "n_embd": 64,
        "n_layer": 2,
        "n_head": 4,
        "n_positions": 256,
    },
    "gpt_neox": _LLAMA | {"model_type": "gpt_neox"},
    "opt": _LLAMA | {"model_type": "opt", "ffn_dim": 128, "word_embed_proj_dim": 64},
    "phi": _LLAMA | {"model_type": "phi"},
}
FIGURES = ("memory", "speed", "learning")


def _measured(name: str, setup: Setup) -> Record:
    demo = load(name)
    run = Run(demo, replace(demo.fit(setup), device="cpu"), seed=0, command=f"python demos/{name}.py")
    return run.measure(lambda *_: None)


@pytest.mark.parametrize(("name", "precision", "step"), ARMS)
def test_a_prediction_is_the_ledgers_measurement(finished, name, precision, step):
    """Peak, phase, breakdown and what is left after the step; and a record like the measured one beside that."""
    setup = replace(SMALL, precision=precision, step=step)
    measured = finished(name, precision=precision, **({"step": step} if step else {}))
    told = predict.predict(name, None, setup)
    for one in (measured, told):
        assert one.status == ("not_applicable" if step == "offload" else "ok"), one.message
    assert told.memory.peak_bytes == measured.memory.peak_bytes
    for figure in ("ledger_peak_bytes", "breakdown_at_peak", "peak_phase", "static_bytes"):
        assert getattr(told.memory, figure) == getattr(measured.memory, figure), figure
    assert (told.mode, told.device.kind) == ("predicted", "fake")
    if step != "offload":
        assert told.learning.trainable_parameters == measured.learning.trainable_parameters
        assert told.learning.total_parameters == measured.learning.total_parameters
    unlike = {"mode", "device", "origin", *FIGURES}
    assert told.model_dump(exclude=unlike) == measured.model_dump(exclude=unlike)
    assert told.origin.versions == measured.origin.versions


def test_what_was_not_measured_is_null():
    """No time, no loss, nothing of a process: a prediction has none of them."""
    memory = predict.predict("lora", None, SMALL).memory
    assert memory.load_peak_bytes is memory.reserved_bytes is memory.process_bytes is None
    assert memory.timeline == []
    told = predict.predict("lora", None, SMALL)
    assert told.speed.step_seconds is told.learning.eval_loss_before is None
    assert told.learning.losses == []


def test_measured_and_predicted_records_do_not_share_a_file(finished, tmp_path):
    """One setup, two files."""
    measured, told = finished("baseline"), predict.predict("baseline", None, SMALL)
    assert measured.write(tmp_path) != told.write(tmp_path)


def test_nothing_is_left_behind(finished):
    """After predictions with four and eight bits, a real run is what it was before."""
    before = finished("qlora")
    swap = torch.utils.swap_tensors
    assert predict.predict("stack", None, replace(SMALL, **{"step": "8bit_adamw"})).status == "ok"
    assert torch.utils.swap_tensors is swap
    after = finished("qlora", again=True)
    assert after.memory.breakdown_at_peak == before.memory.breakdown_at_peak
    assert after.learning.losses == before.learning.losses


FRESH = """
import json, sys
from memlab.predicting import predict
from memlab.measuring.hardware import process_peak_bytes
from memlab.options.setup import Setup
from transformers import LlamaConfig

print(json.dumps("torch._inductor.compile_fx" in sys.modules))
config = LlamaConfig(
    hidden_size=12288, intermediate_size=49152, num_hidden_layers=1, num_attention_heads=96, vocab_size=50257
)
setup = Setup(model="wide", batch=2, seq=2048, steps=2, warmup=1)
before = process_peak_bytes()
told = predict.predict("baseline", config, setup)
print(json.dumps([before, process_peak_bytes()]))
print(told.model_dump_json())
"""


@pytest.fixture(scope="module")
def fresh() -> tuple[bool, tuple[int, int], Record, str]:
    """What a process of its own says: whether a compiler was loaded, its peak before and after, the record, stderr."""
    done = subprocess.run([sys.executable, "-c", FRESH], capture_output=True, text=True, cwd=HOME)
    assert done.returncode == 0, done.stderr
    compiler, peaks, record = done.stdout.splitlines()
    return json.loads(compiler), tuple(json.loads(peaks)), Record.model_validate_json(record), done.stderr


@pytest.mark.slow
def test_a_large_model_takes_no_memory(fresh):
    """GPT-3's width in one layer would be 50 GB of weights and states; the process hardly grows."""
    _, (before, after), told, _ = fresh
    assert told.status == "ok" and told.memory.peak_bytes > 16 * told.setup.parameters > 40e9
    assert after - before < 300e6
    assert told.setup.model == "wide"


def test_a_model_that_needs_its_numbers_says_so(demo):
    """What depends on the values of a tensor cannot be known: the record names the operator, and has no peak."""

    def build(lab):
        model, optimizer = demo("baseline").build(lab)
        model.register_forward_pre_hook(lambda *_: model.lm_head.weight.nonzero())
        return model, optimizer

    own = replace(load("baseline"), build=build)
    run = PredictedRun(own, own.fit(SMALL), seed=0, command="x")
    told = run.measure(lambda *_: None)
    assert told.status == "failed" and told.memory.peak_bytes is None
    assert (
        told.message.startswith("cannot be predicted: it computes by its numbers")
        and "nonzero" in told.message
    )


def test_four_bits_in_rows_of_an_odd_length_are_not_guessed(tmp_path):
    """bitsandbytes has no kernel for them on a CPU: it compiles one, and only that knows what it takes."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps(_LLAMA | {"intermediate_size": 129}))
    told = predict.predict("qlora", None, replace(SMALL, model=str(path)))
    assert told.status == "failed" and told.memory.peak_bytes is None
    assert (
        told.message.startswith("cannot be predicted: bitsandbytes unpacks rows of 129 weights")
        and "\n" not in told.message
    )
    assert predict.predict("lora", None, replace(SMALL, model=str(path))).status == "ok"


def test_real_tensors_are_refused_inside():
    """A tensor with numbers would be counted wrongly: torch refuses it rather than mix both."""
    real = torch.ones(2)
    with fake_tensors.tensors(), pytest.raises(Exception, match="fake"):
        real + torch.ones(2)


@pytest.mark.slow
def test_the_predictor_is_loaded_without_a_word_and_without_a_compiler(fresh):
    compiler, _, _, said = fresh

    assert (compiler, said) == (False, "")


@pytest.mark.slow
def test_a_user_predicts_a_config(run_demo, tmp_path):
    """`--predict` takes a bare config.json, says how high the peak is and what it is made of, and writes a record."""
    config = LlamaConfig(
        hidden_size=128, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4, vocab_size=1000
    )
    config.save_pretrained(tmp_path / "my-model")
    path = tmp_path / "my-model" / "config.json"
    done = run_demo(
        "baseline.py",
        "--predict",
        "--model",
        str(path),
        "--batch",
        "1",
        "--seq",
        "32",
        "--out",
        str(tmp_path / "out"),
    )
    assert done.returncode == 0, done.stderr
    assert "peak memory" in done.stdout and "activations" in done.stdout
    assert "Predicted" in done.stdout and "nothing was trained" in done.stdout
    written = [json.loads(path.read_text()) for path in (tmp_path / "out").glob("*.json")]
    assert {one["technique"] for one in written} == {"baseline"}
    assert {one["setup"]["model"] for one in written} == {"my-model"}
    assert all("--predict" in one["origin"]["command"] for one in written)
    assert not list((tmp_path / "out").glob("*.svg"))
    assert Run.mode == "measured"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"vocab_size": 0}, "vocab_size is 0; a whole number from 1"),
        ({"num_hidden_layers": -3}, "num_hidden_layers is -3"),
        ({"hidden_size": 10**12}, "hidden_size is 1000000000000"),
        ({"num_hidden_layers": 1001}, "num_hidden_layers is 1001; a whole number from 1 to 1000"),
        (
            {"model_type": "gpt2", "num_hidden_layers": 10**4},
            "n_layer is 10000; a whole number from 1 to 1000",
        ),
        (
            {"model_type": "mixtral", "num_local_experts": 10**5},
            "num_local_experts is 100000; 10000 can be at most",
        ),
        ({"model_type": "olmoe", "num_experts": 10**9}, "num_experts is 1000000000; 10000 can be at most"),
        ({"model_type": "bart", "decoder_layers": 10**4}, "decoder_layers is 10000; 1"),
        (
            {"num_key_value_heads": 3},
            "num_key_value_heads is 3, which does not divide num_attention_heads, 4",
        ),
        ({"model_type": "t5"}, "model_type t5 is no causal language model"),
        ({"model_type": "roberta"}, "model_type roberta is an encoder, which sees the tokens"),
        ({"model_type": "xlm"}, "model_type xlm is an encoder"),
        ({"model_type": "nobody", "auto_map": {"AutoConfig": "a.B"}}, "auto_map asks to run code"),
        ({"model_type": "nobody"}, "its configuration cannot be used"),
        ({"max_position_embeddings": 32}, "--seq 64: "),
        ({"pad_token_id": 1000}, "its configuration makes no model (Padding_idx must be within"),
    ],
)
def test_a_config_that_will_not_do_is_refused_in_one_line(tmp_path, changed, words):
    """The line names the field."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps(_LLAMA | changed))
    with pytest.raises(UsageError) as refused:
        predict.predict("lora", None, replace(SMALL, model=str(path)))
    assert words in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("config", [T5Config(), BertConfig()])
def test_a_config_that_a_program_hands_over_is_looked_at_likewise(config):
    with pytest.raises(UsageError, match=f"model_type {config.model_type} is "):
        predict.predict("lora", config, SMALL)


def test_an_encoder_that_is_made_a_decoder_is_predicted():
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = BertConfig(**sizes, vocab_size=512, is_decoder=True)

    assert predict.predict("lora", config, SMALL).status == "ok"


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_predicted_as_it_is_measured(family, tmp_path):
    """Tied or not, grouped heads or not, linear layers of either kind: to the byte."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps(FAMILIES[family]))
    told = predict.predict("qlora", None, replace(SMALL, model=str(path)))
    measured = _measured("qlora", replace(SMALL, model=str(path), random_init=True))
    assert told.status == measured.status == "ok", (told.message, measured.message)
    assert told.memory.breakdown_at_peak == measured.memory.breakdown_at_peak
