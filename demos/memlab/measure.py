"""Measure one run: load, train, and fill the record.

Two passes over the same plain training step: a clean one for time and the allocator's peak, then one step
under the ledger for where the bytes are. Nothing is evaluated, moved or emptied inside the measured window.
"""

from __future__ import annotations

import gc
import math
import statistics
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch.utils.weak import WeakIdKeyDictionary
from transformers import BitsAndBytesConfig

from memlab import bf16_kernels, chunked, data, hardware, offload, origin, record
from memlab.ledger import Ledger, Phase
from memlab.model import Source, find
from memlab.setup import Setup

Tell = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and of how much."""

Build = Callable[["Lab"], tuple[torch.nn.Module, torch.optim.Optimizer]]


class NotApplicableError(Exception):
    """A technique has nothing to do on this device. Its text says why."""


class Lab:
    """What a demo's `build(lab)` works with."""

    def __init__(self, setup: Setup, seed: int, source: Source, device: torch.device) -> None:
        self.setup = setup
        self.seed = seed
        self.device = device
        self.base_dtype: str | None = None
        self.optimizer_name = "AdamW (fused)"
        self.loss_kernel = "cross_entropy (fp32 logits)"
        self.offloads = setup.offload
        self._source = source
        self._base = WeakIdKeyDictionary()

    @property
    def mixed(self) -> bool:
        """Whether trained weights are fp32 under bf16 autocast; otherwise everything is bf16."""
        return self.setup.precision == "mixed"

    @property
    def on_gpu(self) -> bool:
        """Whether the step is a GPU's, or is predicted for one."""
        return self.device.type == "cuda"

    def load_model(
        self, dtype: Literal["float32", "bfloat16"], quantization_config: BitsAndBytesConfig | None = None
    ) -> torch.nn.Module:
        """Return the base model on the device, its weights stored as `dtype`.

        With a `quantization_config`, the weights of its linear layers are stored in four bits.
        """
        self.base_dtype = dtype
        model = self._source.load(getattr(torch, dtype), self.device)
        if quantization_config is not None:
            from memlab import nf4

            nf4.quantize(model, quantization_config)
            self.base_dtype = f"{dtype}, linear layers {quantization_config.bnb_4bit_quant_type}"
        for tensor in (*model.parameters(), *model.buffers()):
            self._base[tensor] = True
        torch.manual_seed(self.seed)  # whatever a technique draws next depends on the seed alone
        return model

    def optimizer(self, model: torch.nn.Module) -> torch.optim.Optimizer:
        """Return AdamW over the trainable parameters; fused, since the default kernel adds to the peak."""
        trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
        assert self.setup.lr is not None
        return torch.optim.AdamW(trainable, lr=self.setup.lr, fused=True)

    def optimizer_8bit(self, model: torch.nn.Module) -> torch.optim.Optimizer:
        """Return bitsandbytes' AdamW with moments of one byte; on a GPU they can be paged out to the host."""
        from bitsandbytes import optim

        self.optimizer_name = "PagedAdamW8bit" if self.on_gpu else "AdamW8bit"
        trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimizer: torch.optim.Optimizer = getattr(optim, self.optimizer_name)(trainable, lr=self.setup.lr)
        return optimizer

    def chunked_loss(self, model: torch.nn.Module) -> torch.nn.Module:
        """Return the model with a loss that never holds the logits of the whole batch."""
        self.loss_kernel = f"cross_entropy (fp32 logits, {chunked.TOKENS} tokens at a time)"
        return chunked.ChunkedLoss(model)

    def offload_activations(self, model: torch.nn.Module) -> torch.nn.Module:
        """Return the model with activations that wait for the backward pass in the host's memory.

        Raises NotApplicableError on a CPU, whose tensors are there already.
        """
        self.offloads = True
        if not self.on_gpu:
            raise NotApplicableError("on a CPU, activations are in the host's memory already")
        return offload.OffloadedActivations(model)

    def autocast(self) -> AbstractContextManager[Any]:
        """The context of every forward pass."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed)

    def is_base(self, tensor: torch.Tensor) -> bool:
        """Whether `tensor` is a parameter or buffer of the base model as it was loaded."""
        return tensor in self._base


def no_phase(name: Phase) -> AbstractContextManager[None]:
    return nullcontext()


@dataclass(frozen=True)
class Trainer:
    """The plain training step, the same for every technique and every pass."""

    lab: Lab
    model: torch.nn.Module
    optimizer: torch.optim.Optimizer

    def step(
        self, batch: data.Batch, phase: Callable[[Phase], AbstractContextManager[None]] = no_phase
    ) -> torch.Tensor:
        """Train on one batch and return its loss, a scalar on the device."""
        with phase("forward"), self.lab.autocast():
            loss = self.model(**batch).loss
        with phase("backward"):
            loss.backward()
        with phase("optimizer"):
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    def timed_step(self, batch: data.Batch) -> tuple[float, float]:
        """Train on one batch; return its loss and the seconds it took, the device's work included."""
        start = time.perf_counter()
        loss = self.step(batch).item()  # reading the loss waits for the device ...
        hardware.synchronize(self.lab.device)  # ... but not for the optimizer behind it
        return loss, time.perf_counter() - start

    def evaluate(self, batches: Sequence[data.Batch]) -> float:
        """Return the mean loss per predicted token, in nats."""
        total = tokens = 0.0
        self.model.eval()
        with torch.no_grad(), self.lab.autocast():
            for batch in batches:
                predicted = int((batch["labels"][:, 1:] != data.IGNORED).sum())
                total += self.model(**batch).loss.item() * predicted
                tokens += predicted
        self.model.train()
        return total / tokens

    def paged_bytes(self) -> int:
        """Return the bytes of optimizer state in managed memory, which is not the allocator's."""
        values = [value for state in self.optimizer.state.values() for value in state.values()]
        return sum(value.nbytes for value in values if getattr(value, "is_paged", False))

    def new_ledger(self) -> Ledger:
        """Return a ledger that watches the model and the optimizer."""
        ledger = Ledger(self.lab.device.type)
        ledger.watch(self.model, self.optimizer, self.lab.is_base)
        return ledger

    def ledger_step(self, batch: data.Batch) -> Ledger:
        """Train on one batch under the ledger."""
        ledger = self.new_ledger()
        ledger.claim("other", batch.values())
        if self.lab.device.type == "cuda":
            ledger.add("other", max(0, torch.cuda.memory_allocated() - ledger.alive().total))
        ledger.add("optimizer", self.paged_bytes())
        with ledger:
            self.step(batch, ledger.phase)
        return ledger


# ---- one run ---------------------------------------------------------------------------------------------


class Run:
    """One technique measured once, in this process. A record can be made of what it has found at any time."""

    mode: Literal["measured", "predicted"] = "measured"
    lab_type = Lab
    trainer_type = Trainer
    ranks, rank_index = 1, 0

    def __init__(self, technique: str, setup: Setup, *, seed: int, command: str) -> None:
        """Find out what is to be run. Raises UsageError for what only libraries can judge."""
        device = self._choose_device(setup)
        self.technique = technique
        self.command = command
        self.source = self._find(setup)
        if setup.rank is not None:
            self.source.check_linear_layers()
        self.parameters = self.source.count_parameters()
        self.tokenize, self.end = self.source.tokenizer()
        self.text = data.load(setup.dataset)
        self.lab = self.lab_type(setup, seed, self.source, device)
        self.doing = "loading"
        self.warning: str | None = None
        self.model: torch.nn.Module | None = None
        self.optimizer: torch.optim.Optimizer | None = None
        self.ledger: Ledger | None = None
        self.load_peak: int | None = None
        self.losses: list[float] = []
        self.seconds: list[float] = []
        self.eval_before: float | None = None
        self.eval_after: float | None = None
        self.static: int | None = None
        self.paged = 0
        self.allocator: dict[str, int] = {}

    def _choose_device(self, setup: Setup) -> torch.device:
        return hardware.choose(setup.device)

    def _find(self, setup: Setup) -> Source:
        return find(setup)

    def measure(self, build: Build, tell: Tell) -> record.Record:
        """Load, train and weigh; return the record.

        Running out of memory gives a record with status `oom` and what was reached, any other error one
        with status `failed`.
        """
        try:
            self._go(build, tell)
        except NotApplicableError as reason:
            return self.to_record("not_applicable", str(reason))
        except Exception as error:
            return self._ended_by(error)
        return self.to_record("ok", self.warning)

    def _ended_by(self, error: Exception) -> record.Record:
        where = f"{self.doing}: {_first_line(error)}"
        if _is_out_of_memory(error):
            return self.to_record("oom", f"out of memory while {where}")
        traceback.print_exception(error)  # for the log; the record holds one line
        return self.to_record("failed", f"{type(error).__name__} while {where}")

    def _go(self, build: Build, tell: Tell) -> None:
        with bf16_kernels.fast_bf16(self.lab.device) as choice:
            self.warning = self.warning or choice.warning
            self._load_and_train(build, tell)

    def _load_and_train(self, build: Build, tell: Tell) -> None:
        lab, setup = self.lab, self.lab.setup
        cuda = lab.device.type == "cuda"
        total = setup.warmup + setup.steps

        tell("load", 0, 1)
        if cuda:
            self.model, self.optimizer = build(lab)
            self.load_peak = torch.cuda.max_memory_allocated()
        else:
            with Ledger("cpu") as loading:
                self.model, self.optimizer = build(lab)
            self.load_peak = loading.peak().total
            del loading
        trainer = self.trainer_type(lab, self.model, self.optimizer)
        size: dict[str, Any] = {"batch": setup.batch, "seq": setup.seq}
        # One batch more than the clean pass needs: the ledger's step trains on it. Ranks take turns.
        text = (self.text, self.tokenize, self.end)
        every = data.training_batches(*text, **size, n=(total + 1) * self.ranks, seed=lab.seed)
        batches = _onto(lab.device, every[self.rank_index :: self.ranks])
        held_out = _onto(lab.device, data.held_out_batches(*text, **size))

        self.doing = "evaluating"
        tell("evaluate", 0, 1)
        self.eval_before = _finite(trainer.evaluate(held_out), "the held-out loss before training")

        self.doing = "training"
        gc.collect()
        for index, batch in enumerate(batches[:total]):
            tell("train", index, total)
            if index == setup.warmup and cuda:
                torch.cuda.reset_peak_memory_stats()
            loss, seconds = trainer.timed_step(batch)
            self.losses.append(_finite(loss, f"the loss of step {index}"))
            if index >= setup.warmup:
                self.seconds.append(seconds)
        if cuda:
            self.paged = trainer.paged_bytes()
            self.static = torch.cuda.memory_allocated() + self.paged
            self._read_allocator()

        self.doing = "evaluating"
        tell("evaluate", 0, 1)
        self.eval_after = _finite(trainer.evaluate(held_out), "the held-out loss after training")

        self.doing = "keeping the ledger"
        tell("ledger", 0, 1)
        ledger = trainer.ledger_step(batches[total])
        self.ledger = ledger
        if not cuda:
            self.static = ledger.alive().total
        self._compare(ledger.peak().total)

    def _read_allocator(self) -> None:
        stats = torch.cuda.memory_stats()
        self.allocator = {
            "peak": torch.cuda.max_memory_allocated() + self.paged,
            "reserved": torch.cuda.max_memory_reserved(),
            "retries": stats.get("num_alloc_retries", 0),
        }

    def _compare(self, ledger_peak: int) -> None:
        peak = self.allocator.get("peak")
        if peak and abs(ledger_peak / peak - 1) > 0.01:
            self.warning = f"the ledger's peak is {ledger_peak / peak - 1:+.1%} off the allocator's"

    def to_record(
        self, status: Literal["ok", "oom", "failed", "not_applicable"], message: str | None
    ) -> record.Record:
        """Return the record of what has been found so far."""
        if status == "oom" and self.lab.device.type == "cuda":
            self._read_allocator()
        peak = self.ledger.peak() if self.ledger else None
        return record.Record(
            technique=self.technique,
            mode=self.mode,
            status=status,
            message=message,
            setup=self._setup(),
            device=self._describe_device(),
            memory=record.Memory(
                peak_bytes=self.allocator.get("peak", peak.total if peak else None),
                static_bytes=self.static,
                load_peak_bytes=self.load_peak,
                reserved_bytes=self.allocator.get("reserved"),
                process_bytes=self._process_bytes(),
                allocator_retries=self.allocator.get("retries"),
                ledger_peak_bytes=peak.total if peak else None,
                peak_phase=peak.phase if peak else None,
                breakdown_at_peak=peak.breakdown if peak else None,
                timeline=self._timeline(),
            ),
            speed=self._speed(),
            learning=self._learning(),
            origin=origin.of_run(self.command),
        )

    def _describe_device(self) -> record.Device:
        return hardware.describe(self.lab.device)

    def _process_bytes(self) -> int | None:
        on_gpu = self.lab.device.type == "cuda"
        return hardware.gpu_held_bytes() if on_gpu else hardware.process_peak_bytes()

    def _timeline(self) -> list[record.Instant]:
        return self.ledger.timeline() if self.ledger else []

    def _setup(self) -> record.Setup:
        setup = self.lab.setup
        adapters = (
            {str(p.dtype) for p in self.model.parameters() if not self.lab.is_base(p)}
            if self.model
            else set()
        )
        assert setup.lr is not None
        return record.Setup(
            model=self.source.label,
            parameters=self.parameters,
            batch=setup.batch,
            seq=setup.seq,
            steps=setup.steps,
            warmup=setup.warmup,
            seed=self.lab.seed,
            precision=setup.precision,
            autocast="bfloat16" if self.lab.mixed else None,
            base_dtype=self.lab.base_dtype or "not loaded",
            adapter_dtype=_names(adapters) if adapters else None,
            rank=setup.rank,
            alpha=setup.alpha,
            init=setup.init,
            lr=setup.lr,
            step=setup.step,
            optimizer=self.lab.optimizer_name,
            attention=self.source.attention,
            loss_kernel=self.lab.loss_kernel,
            data_sha256=self.text.sha256,
            ranks=self.ranks,
            stage=setup.stage,
            offload=self.lab.offloads,
        )

    def _speed(self) -> record.Speed:
        if not self.seconds:
            return record.Speed(step_seconds=None, tokens_per_second=None)
        median = statistics.median(self.seconds)
        tokens = self.lab.setup.batch * self.lab.setup.seq  # sequences are packed: no token is padding
        return record.Speed(
            step_seconds=record.Spread(median=median, min=min(self.seconds), max=max(self.seconds)),
            tokens_per_second=tokens / median,
        )

    def _learning(self) -> record.Learning | None:
        if self.model is None:
            return None
        return record.Learning(
            trainable_parameters=sum(p.numel() for p in self.model.parameters() if p.requires_grad),
            # Not counted anew: a parameter of four bits is half an element of its tensor.
            total_parameters=self.parameters
            + sum(p.numel() for p in self.model.parameters() if not self.lab.is_base(p)),
            losses=self.losses,
            eval_loss_before=self.eval_before,
            eval_loss_after=self.eval_after,
        )


def _finite(loss: float, name: str) -> float:
    if not math.isfinite(loss):
        raise ArithmeticError(f"{name} is {loss}; try a lower --lr")
    return loss


def _names(dtypes: set[str]) -> str:
    return " and ".join(sorted(dtype.removeprefix("torch.") for dtype in dtypes))


def _onto(device: torch.device, batches: list[data.Batch]) -> list[data.Batch]:
    return [{name: tensor.to(device) for name, tensor in batch.items()} for batch in batches]


def _is_out_of_memory(error: Exception) -> bool:
    """CUDA raises a type of its own; the CPU's allocator raises a plain RuntimeError that says so."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
    )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    line = "".join(c for c in (lines[0] if lines else "no message") if c.isprintable())
    return line[:300]
