"""Does a training step fit on a GPU of a given size, and on how many of them? No torch.

A record says what PyTorch's caching allocator takes from a GPU. What the process holds there beside the
allocator, the CUDA context and its kernels, is in no record and is added here.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from memlab.results import shapes
from memlab.results.record import Record

GIB = 1024**3

GPU_SIZES = tuple(size * GIB for size in (8, 12, 16, 24, 32, 40, 48, 80))
"""Sizes that GPUs are sold in, in bytes; a card that is sold as 24 GB carries 24 GiB.

PyTorch sees less: 79.15 GiB of 80 on an A100 (pytorch issue 111363), 23.65 of 24 (issue 35901).
"""

OUTSIDE_BYTES = 1343 * 1024**2
"""What a process holds on the GPU outside the allocator: the CUDA context and its kernels.

The figure of transformers' documentation, "Model training anatomy", which reads it off NVML after one tiny
tensor and says that kernels "can take up 1-2GB". It differs from GPU to GPU and from driver to driver.
"""

_UNITS = {"gib": GIB, "gb": 1000**3, "mib": 1024**2, "mb": 1000**2}

_SCALE_BYTES = 1 / 64 + 4 / (64 * 256)
"""Bytes of scales for a parameter in NF4: one byte for 64, and four for 256 of those (QLoRA, section 3)."""


def parse_size(text: str) -> int:
    """Return the bytes that `24GiB`, `24 GB` or the like stand for: GiB are of 1024, GB of 1000.

    Raises ValueError, whose text is one line for people.
    """
    found = re.fullmatch(r"\s*(\d{1,6}(?:\.\d{1,3})?)\s*([a-z]+)\s*", text, re.IGNORECASE)
    unit = _UNITS.get(found[2].lower()) if found else None
    if found is None or unit is None or not float(found[1]):
        raise ValueError(f"{text!r} is not a size; give one such as 24GiB (of 1024) or 24GB (of 1000)")
    return round(float(found[1]) * unit)


@dataclass(frozen=True)
class Fit:
    """How a run relates to a GPU: what it takes, and what is left."""

    gpu_bytes: int
    allocated_bytes: int
    """The most that tensors take at once."""
    reserved_bytes: int
    """What the allocator takes from the GPU for them, left to itself."""
    outside_bytes: int = OUTSIDE_BYTES

    @property
    def needed_bytes(self) -> int:
        return self.reserved_bytes + self.outside_bytes

    @property
    def margin_bytes(self) -> int:
        """What is left of the GPU; below 0, what is lacking."""
        return self.gpu_bytes - self.needed_bytes

    @property
    def margin(self) -> float:
        """What is left as a fraction of the GPU; below 0, what is lacking."""
        return self.margin_bytes / self.gpu_bytes

    @property
    def fits(self) -> bool:
        return self.margin_bytes >= 0

    @property
    def tight(self) -> bool:
        """Whether the tensors would fit where what the allocator takes for them does not.

        It then gives back what it holds in reserve and tries again: the run can succeed, and is slower.
        """
        return not self.fits and self.allocated_bytes + self.outside_bytes <= self.gpu_bytes


def fit(record: Record, gpu_bytes: int) -> Fit:
    """Hold a record against a GPU.

    Without the allocator's figures, as on a CPU, the peak of live bytes stands for both. Optimizer states
    that are paged lie in managed memory, which moves to the host when the GPU is full: they need no room.
    Raises ValueError for a record without a peak.
    """
    memory = record.memory
    if memory.peak_bytes is None:
        raise ValueError(f"{record.technique}: the record holds no peak ({record.message})")
    reserved = memory.reserved_bytes or memory.peak_bytes
    return Fit(gpu_bytes, min(memory.peak_bytes, reserved), reserved)


# ---- QLoRA under ZeRO-3 ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ranks:
    """The fewest GPUs that hold a run under QLoRA and ZeRO-3, and what each of them holds then."""

    ranks: int
    gpu_bytes: int
    shard_bytes: int
    """Its part of the base model's weights."""
    scales_bytes: int
    """The scales of all packed weights: no parameters, so every rank keeps them whole."""
    window_bytes: int
    """The largest layer, gathered; nothing on a single GPU, which gathers nothing."""
    rest_bytes: int
    """Adapters, their gradients and optimizer states, activations, temporaries, the allocator's reserve."""
    outside_bytes: int = OUTSIDE_BYTES

    @property
    def needed_bytes(self) -> int:
        parts = self.shard_bytes, self.scales_bytes, self.window_bytes, self.rest_bytes, self.outside_bytes
        return sum(parts)


def smallest_ranks(record: Record, gpu_bytes: int) -> Ranks | None:
    """Return the smallest number of GPUs that would run what one GPU ran for `record`; None if none would.

    The record is of QLoRA: the base model's weights, packed ones and others, are sharded over the ranks (as
    PEFT's documentation, "Use PEFT QLoRA and DeepSpeed with ZeRO3", does it), and gathered layer by layer as
    ZeRO's third stage does; everything else is on each rank what it was in the record. That is more than is
    needed where adapters are sharded too. An estimate from the record's parts, and not a run of DeepSpeed.
    Raises ValueError for a record that is not of a model in four bits, or of none of the lab's shapes.
    """
    memory = record.memory
    if memory.breakdown_at_peak is None or "nf4" not in record.setup.base_dtype:
        raise ValueError(f"{record.technique}: QLoRA under ZeRO-3 needs a record of weights in four bits")
    weights = memory.breakdown_at_peak.weights
    whole = fit(record, gpu_bytes)
    rest = whole.reserved_bytes - weights
    packed = (2 * record.setup.parameters - weights) / (2 - 0.5 - _SCALE_BYTES)  # the others take 2 bytes
    scales = round(packed * _SCALE_BYTES)
    if whole.fits:
        return Ranks(1, gpu_bytes, weights - scales, scales, 0, rest)
    window = _largest_layer(record.setup.model, weights)
    room = gpu_bytes - whole.outside_bytes - rest - scales - window
    if room <= 0:
        return None
    ranks = -(-(weights - scales) // room)
    return Ranks(ranks, gpu_bytes, -(-(weights - scales) // ranks), scales, window, rest)


def _largest_layer(model: str, weights: int) -> int:
    """Return the bytes of the largest layer: a block, or the embedding, which stays in bf16."""
    path = shapes.path(model)
    if path is None:
        raise ValueError(f"{model}: is none of the lab's shapes, so its layers are not known")
    config = json.loads(path.read_text(encoding="utf-8"))
    width: int = config.get("hidden_size") or config["n_embd"]
    blocks: int = config.get("num_hidden_layers") or config["n_layer"]
    embedding: int = 2 * config["vocab_size"] * width
    embeddings = embedding * (1 if config["tie_word_embeddings"] else 2)
    return max(embedding, -(-(weights - embeddings) // blocks))
