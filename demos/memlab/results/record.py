"""The record: what one run of one demo measured, as one JSON file.

This module is the contract between the lab and everybody who reads its results. It imports no torch, so that
a web server can read records without one. `demos/results/schema.json` is generated from it.

Bytes are integers in fields that end in `_bytes`, seconds are in fields that end in `_seconds`, and fractions
are never percentages. A measurement that was not made is `null`: never 0, never a default.
"""

from __future__ import annotations

import hashlib
import json
import re
import statistics
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from memlab.results.writing import write_whole

SCHEMA_VERSION = 1

KINDS = ("weights", "adapters", "gradients", "optimizer", "activations", "temporaries", "other")
"""What a live byte can be, in the order in which charts stack it and timelines list it."""

TECHNIQUE_FIELDS = frozenset(
    {
        "base_dtype",
        "adapter_dtype",
        "rank",
        "alpha",
        "init",
        "lr",
        "step",
        "optimizer",
        "loss_kernel",
        "offload",
    }
)
"""Setup fields that a technique brings with it: two techniques may be compared although these differ.

They are compared like every other field between two records of one technique; `memlab.results.comparing`
has the whole rule.
"""

TIMING_FIELDS = ("threads", "bf16_kernel")
"""Device fields on which times depend and memory does not: times are compared only where these agree.

Records from before they were noted are of an unknown kernel, and agree in time with one another alone.
"""

TECHNIQUE_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")

LOSS_WINDOW = 10
"""Steps over which training losses are averaged before they are compared: one alone is mostly its batch's."""

LEARNING_STEPS = 20
"""Optimizer steps, warm-up included, from which on a run shows what is learned.

That is two windows of losses that share no step. Shorter runs tell of memory and time alone.
"""

Step = Literal["checkpointing", "lora", "qlora", "8bit_adamw", "chunked_loss", "offload"]
STEPS: tuple[Step, ...] = get_args(Step)
"""The steps of `stack.py` after full fine-tuning in pure bf16; each keeps what the ones before it brought."""


def _printable(text: str) -> str:
    if any(not (c.isprintable() or c == "\n") for c in text):
        raise ValueError("contains control characters")
    return text


Line = Annotated[str, Field(max_length=500), AfterValidator(_printable)]
Bytes = Annotated[int, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]
Instant = tuple[Seconds, Bytes, Bytes, Bytes, Bytes, Bytes, Bytes, Bytes]
"""Seconds since the first, then live bytes of each kind in the order of `KINDS`."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


class Setup(_Part):
    """What was run. Two records may be compared only where these agree (see `TECHNIQUE_FIELDS`)."""

    model: Line
    parameters: Count = Field(description="parameters of the base model")
    batch: Annotated[int, Field(ge=1)] = Field(description="sequences per micro-batch")
    seq: Annotated[int, Field(ge=1)] = Field(description="tokens per sequence")
    steps: Annotated[int, Field(ge=1)] = Field(description="measured optimizer steps, after the warm-up")
    warmup: Count = Field(description="optimizer steps before the peak is reset and the clock starts")
    seed: Count
    precision: Literal["mixed", "bf16"] = Field(
        description="of full fine-tuning: mixed = fp32 weights under bf16 autocast, bf16 = pure bf16"
    )
    autocast: Literal["bfloat16"] | None
    base_dtype: Line = Field(description="storage type of the base model's weights")
    adapter_dtype: Line | None = None
    rank: Annotated[int, Field(ge=1)] | None = None
    alpha: Annotated[float, Field(gt=0)] | None = None
    init: Literal["pissa", "pissa_niter_4"] | None = Field(
        default=None, description="how the adapters begin, where not as LoRA's do"
    )
    lr: Annotated[float, Field(gt=0)]
    step: Step | None = Field(default=None, description="of a stack: this technique and all before it")
    optimizer: Line
    attention: Line
    loss_kernel: Line
    data_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    ranks: Annotated[int, Field(ge=1)] = Field(default=1, description="processes that share the work")
    rank_index: Count | None = Field(
        default=None, description="the rank that this record is of; null for all of them, by the heaviest"
    )
    stage: Annotated[int, Field(ge=0, le=3)] | None = Field(default=None, description="ZeRO stage")
    offload: bool = False

    @property
    def scale(self) -> float | None:
        """What the adapters' product is multiplied by, alpha / rank; None where there are no adapters."""
        return None if self.alpha is None or self.rank is None else self.alpha / self.rank

    @property
    def shows_learning(self) -> bool:
        """Whether the run is long enough to show what is learned."""
        return self.warmup + self.steps >= LEARNING_STEPS

    def without_seed(self) -> dict[str, Any]:
        """Return the fields as a dictionary, without the seed: runs that agree here are repeats."""
        return self.model_dump(exclude={"seed"})


class Device(_Part):
    kind: Literal["cuda", "cpu", "fake"]
    name: Line
    memory_bytes: Bytes | None
    driver: Line | None = None
    count: Annotated[int, Field(ge=1)] = 1
    threads: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="that one operator is shared among, on a CPU"
    )
    bf16_kernel: Line | None = Field(
        default=None,
        description="what multiplies bf16 matrices on a CPU; times may be compared where it agrees, memory "
        "does not depend on it",
    )

    @model_serializer(mode="wrap")
    def _as_before_where_unknown(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out the two that earlier records lack, so that reading and writing changes no file."""
        fields: dict[str, Any] = serialize(self)
        return {
            name: value for name, value in fields.items() if value is not None or name not in TIMING_FIELDS
        }


class Breakdown(_Part):
    """Live bytes by kind at one instant."""

    weights: Bytes
    adapters: Bytes
    gradients: Bytes
    optimizer: Bytes
    activations: Bytes
    temporaries: Bytes
    other: Bytes

    @property
    def total(self) -> int:
        return sum(getattr(self, kind) for kind in KINDS)


class Memory(_Part):
    peak_bytes: Bytes | None = Field(
        description="headline: the CUDA allocator's peak on a GPU (and what an optimizer has paged), "
        "the ledger's elsewhere"
    )
    static_bytes: Bytes | None = Field(description="alive between two steps")
    load_peak_bytes: Bytes | None = Field(description="peak while the model was loaded and prepared")
    reserved_bytes: Bytes | None = Field(description="the CUDA allocator's peak of reserved memory")
    process_bytes: Bytes | None = Field(description="NVML's figure on a GPU, the peak resident set elsewhere")
    allocator_retries: Count | None
    ledger_peak_bytes: Bytes | None
    peak_phase: Literal["load", "forward", "backward", "optimizer"] | None
    breakdown_at_peak: Breakdown | None
    timeline: list[Instant] = Field(
        default_factory=list,
        description="one step: [seconds, then live bytes of each kind in the order of KINDS]",
    )

    @model_validator(mode="after")
    def _sums(self) -> Self:
        if self.breakdown_at_peak and self.breakdown_at_peak.total != self.ledger_peak_bytes:
            raise ValueError("breakdown_at_peak does not sum to ledger_peak_bytes")
        return self


class States(_Part):
    """The model states that a rank keeps under ZeRO, by kind (Rajbhandari et al., arXiv 1910.02054, §3.1)."""

    parameters_bytes: Bytes = Field(description="of the working weights, between two steps")
    gradients_bytes: Bytes = Field(
        description="at most: in stages 0 and 1 all, before they are reduced; above, the rank's own"
    )
    master_bytes: Bytes = Field(description="of the fp32 weights that the optimizer updates")
    moments_bytes: Bytes = Field(description="of Adam's two moments, the step counters included")
    buffers_bytes: Bytes = Field(
        description="at most, and in no formula: buckets, gathered parameters, gradients on their way"
    )
    host_bytes: Bytes = Field(description="how much of the model states lies in the host's memory, offloaded")

    @property
    def total(self) -> int:
        """The model states: everything but the buffers."""
        return self.parameters_bytes + self.gradients_bytes + self.master_bytes + self.moments_bytes


class Spread(_Part):
    median: Seconds
    min: Seconds
    max: Seconds


class Speed(_Part):
    step_seconds: Spread | None
    tokens_per_second: Annotated[float, Field(ge=0)] | None = Field(description="padding not counted")


class Learning(_Part):
    trainable_parameters: Count
    total_parameters: Count
    losses: list[float] = Field(description="training loss of every step, warm-up included")
    eval_loss_before: float | None
    eval_loss_after: float | None

    def loss_after(self, steps: int | None = None) -> float | None:
        """Return the mean training loss of the `LOSS_WINDOW` steps that end with step `steps` (nats a token).

        Steps count from 1, warm-up included; without a number, after the last one. None for a step that the
        run did not make, or that has not so many before it.
        """
        last = len(self.losses) if steps is None else steps
        if not LOSS_WINDOW <= last <= len(self.losses):
            return None
        return statistics.fmean(self.losses[last - LOSS_WINDOW : last])

    def steps_to(self, loss: float) -> int | None:
        """Return after how many steps `loss_after` first was at most `loss`; None if it never was.

        Given another run's `loss_after()`, this is *steps to loss*: the optimizer steps until a run is where
        the other one ended. It means something only for runs of one seed, that is of one order of the data.
        """
        for steps in range(LOSS_WINDOW, len(self.losses) + 1):
            reached = self.loss_after(steps)
            if reached is not None and reached <= loss:
                return steps
        return None


class Origin(_Part):
    command: Line
    commit: Line | None
    versions: dict[Line, Line | None]
    created: datetime


class Record(_Part):
    """One run. Loss in nats per token, memory in bytes, time in seconds."""

    schema_version: Literal[1] = 1
    technique: Annotated[str, Field(pattern=f"^{TECHNIQUE_NAME.pattern}$")]
    mode: Literal["measured", "predicted"]
    status: Literal["ok", "oom", "failed", "not_applicable"]
    message: Line | None = None
    setup: Setup
    device: Device
    memory: Memory
    speed: Speed
    learning: Learning | None
    states: States | None = Field(default=None, description="of one rank, under ZeRO")
    origin: Origin

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.status == "ok" and self.memory.peak_bytes is None:
            raise ValueError("status is ok, but memory.peak_bytes is missing")
        if (self.mode == "predicted") != (self.device.kind == "fake"):
            raise ValueError("mode predicted goes with device fake, and only with it")
        return self

    @property
    def training_seconds(self) -> float | None:
        """How long all steps of the run take, warm-up included, at the median time of a step."""
        if self.learning is None or self.speed.step_seconds is None:
            return None
        return len(self.learning.losses) * self.speed.step_seconds.median

    def loss_after_seconds(self, seconds: float) -> float | None:
        """Return `Learning.loss_after` the steps that fit into `seconds`, at the median time of a step.

        For *loss at equal seconds*, give both runs the shorter `training_seconds` of the two. None where
        `loss_after` is None.
        """
        if self.learning is None or not self.training_seconds:
            return None
        # A run that takes exactly its own time has made all its steps, whatever rounding says.
        steps = len(self.learning.losses) * seconds / self.training_seconds
        return self.learning.loss_after(int(steps + 1e-9))

    @property
    def slug(self) -> str:
        """The file name without suffix; runs of different setups never share one."""
        setup = json.dumps(self.setup.model_dump(mode="json", exclude_none=True), sort_keys=True)
        digest = hashlib.sha256(setup.encode()).hexdigest()[:8]
        predicted = "-predicted" * (self.mode == "predicted")
        return f"{self.technique}-{self.setup.precision}-seed{self.setup.seed}-{digest}{predicted}"

    def to_text(self) -> str:
        """Return the record as its file has it: JSON with one line for each instant of the timeline."""
        return _NUMBERS.sub(_in_one_line, self.model_dump_json(indent=1) + "\n")

    def write(self, folder: Path) -> Path:
        """Write the record into `folder`, whole or not at all, and return its path. Raises OSError."""
        path = folder / f"{self.slug}.json"
        write_whole(path, self.to_text())
        return path


_NUMBERS = re.compile(r"\[\s+([-+.\de]+(?:,\s+[-+.\de]+)*)\s+\]")


def _in_one_line(numbers: re.Match[str]) -> str:
    return f"[{' '.join(numbers[1].split())}]"


def read(path: Path) -> Record:
    """Read one record. Raises OSError, or ValueError (pydantic's) when the file is not a record."""
    return Record.model_validate_json(path.read_bytes())


def schema() -> str:
    """Return the JSON schema of a record as the text of `demos/results/schema.json`."""
    return json.dumps(Record.model_json_schema(), indent=1, sort_keys=True) + "\n"
