"""What other tools estimate for a training step: each tool's figure in bytes, used as its documentation says.

- accelerate's `estimate-memory`, the column "Training using Adam" for mixed precision: the model, its
  gradients and Adam's states, "for a batch size of 1". It does not cover adapters, quantized weights beside
  trained ones, pure bf16, or activations.
- DeepSpeed's `estimate_zero2_model_states_mem_needs` and `estimate_zero3_model_states_mem_needs`, without
  offloading: "params, optim states and gradients" of all parameters of the model, frozen ones too. What is
  not sharded is asked for on one GPU. Stage 1 has no estimator. Activations and ZeRO's buckets are left out.
- Bytes per parameter: what a parameter costs, times how many there are. Rajbhandari et al. (arXiv 1910.02054,
  section 3.1): 16 in mixed precision with Adam; likewise 8 in pure bf16, and 6 with moments
  of eight bits; among ranks, as `results.zero_formulas` has it. A frozen parameter costs 2 bytes in bf16, and
  in NF4 with double quantization 4.127 bits (Dettmers et al., arXiv 2305.14314, section 3). No activations.
"""

from __future__ import annotations

import os

import torch
from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedModel
from transformers.pytorch_utils import Conv1D

from memlab.results.accuracy import Figure
from memlab.results.record import STEPS, Record
from memlab.results.zero_formulas import paper

_NF4_BYTES = (4 + 0.127) / 8


def estimates(config: PretrainedConfig, record: Record) -> dict[Figure, int | None]:
    """Return every tool's figure, in bytes, for the run of a record, whose base model has this configuration.

    None where a tool has no estimate (DeepSpeed's for stage 1).
    """
    with torch.device("meta"):
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    return {
        "accelerate_bytes": _accelerate(model),
        "deepspeed_bytes": _deepspeed(model, record),
        "formula_bytes": _formula(model, record),
    }


def _accelerate(model: PreTrainedModel) -> int:
    from accelerate.commands.estimate import estimate_training_usage
    from accelerate.utils import calculate_maximum_sizes

    size, _ = calculate_maximum_sizes(model)
    return int(max(estimate_training_usage(size, "bfloat16").values()))


def _deepspeed(model: PreTrainedModel, record: Record) -> int | None:
    os.environ.setdefault("DS_ACCELERATOR", "cpu")  # read when DeepSpeed is imported
    from deepspeed.runtime.zero import stage3, stage_1_and_2

    assert record.learning is not None
    parameters, stage = record.learning.total_parameters, record.setup.stage
    if stage == 1:
        return None
    if stage == 3:
        largest_layer = max(
            sum(p.numel() for p in layer.parameters(recurse=False)) for layer in model.modules()
        )
        _, on_gpu, _ = stage3.estimate_zero3_model_states_mem_needs(
            parameters,
            largest_layer,
            num_gpus_per_node=record.setup.ranks,
            cpu_offload=False,
            cpu_offload_params=False,
        )
    else:
        _, on_gpu = stage_1_and_2.estimate_zero2_model_states_mem_needs(
            parameters, num_gpus_per_node=record.setup.ranks if stage else 1, cpu_offload=False
        )
    return int(on_gpu)


def _formula(model: PreTrainedModel, record: Record) -> int:
    setup, learning = record.setup, record.learning
    assert learning is not None
    if setup.stage is not None:
        return round(sum(paper(setup.stage, setup.ranks, setup.parameters).values()))
    steps = STEPS[: STEPS.index(setup.step) + 1] if setup.step else ()
    bytes_each = 16 if setup.precision == "mixed" else 6 if "8bit_adamw" in steps else 8
    frozen = learning.total_parameters - learning.trainable_parameters
    quantized = _linear_parameters(model) if record.technique == "qlora" or "qlora" in steps else 0
    return round(
        bytes_each * learning.trainable_parameters + 2 * (frozen - quantized) + _NF4_BYTES * quantized
    )


def _linear_parameters(model: PreTrainedModel) -> int:
    """Count the weights that QLoRA quantizes: of all linear layers but the output head."""
    head = model.get_output_embeddings()
    layers = (layer for layer in model.modules() if isinstance(layer, torch.nn.Linear | Conv1D))
    return sum(layer.weight.numel() for layer in layers if layer is not head)
