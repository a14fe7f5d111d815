"""Measure one run: load, train, and fill the record.

Two passes over the same plain training step: a clean one for time and the allocator's peak, then one step
under the ledger for where the bytes are. Nothing is evaluated, moved or emptied inside the measured window.
"""

from __future__ import annotations

import gc
import math
import statistics
import traceback
from typing import Any, Literal

import torch

from memlab.measuring import first_loss, hardware
from memlab.measuring.lab import Lab, NotApplicableError
from memlab.measuring.ledger import Ledger
from memlab.measuring.trainer import OnProgress, Trainer
from memlab.options.demo import Demo
from memlab.options.setup import Setup
from memlab.results import provenance, record
from memlab.training import bf16_kernels, data
from memlab.training.model import Source, find


class Run:
    """One technique measured once, in this process. A record can be made of what it has found at any time."""

    mode: Literal["measured", "predicted"] = "measured"
    lab_type = Lab
    trainer_type = Trainer
    ranks, rank_index = 1, 0

    def __init__(self, demo: Demo, setup: Setup, *, seed: int, command: str) -> None:
        """Find out what is to be run. Raises UsageError for what only libraries can judge."""
        device = self._choose_device(setup)
        self.demo = demo
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

    def measure(self, on_progress: OnProgress) -> record.Record:
        """Load, train and weigh; return the record.

        Running out of memory gives a record with status `oom` and what was reached, any other error one
        with status `failed`.
        """
        try:
            self._go(on_progress)
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

    def _go(self, on_progress: OnProgress) -> None:
        with bf16_kernels.fast_bf16(self.lab.device) as choice:
            self.warning = self.warning or choice.warning
            self._load_and_train(on_progress)

    def _load_and_train(self, on_progress: OnProgress) -> None:
        lab, setup = self.lab, self.lab.setup
        cuda = lab.device.type == "cuda"
        total = setup.warmup + setup.steps

        on_progress("load", 0, 1)
        if cuda:
            self.model, self.optimizer = self.demo.build(lab)
            self.load_peak = torch.cuda.max_memory_allocated()
        else:
            with Ledger("cpu") as loading:
                self.model, self.optimizer = self.demo.build(lab)
            self.load_peak = loading.peak().total
            del loading
        trainer = self.trainer_type(lab, self.model, self.optimizer, self.demo.step)
        # One batch more than the clean pass needs: the ledger's step trains on it.
        batches, held_out = self._batches(total + 1)
        if held_out:
            self.doing = "evaluating"
            self.eval_before = self._first_loss(trainer, held_out, on_progress)

        self.doing = "training"
        gc.collect()
        for index, batch in enumerate(batches[:total]):
            on_progress("train", index, total)
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

        if held_out:
            self.doing = "evaluating"
            self.eval_after = _finite(
                trainer.evaluate(held_out, on_progress), "the held-out loss after training"
            )

        self.doing = "keeping the ledger"
        on_progress("ledger", 0, 1)
        ledger = trainer.ledger_step(batches[total])
        self.ledger = ledger
        if not cuda:
            self.static = ledger.alive().total
        self._compare(ledger.peak().total)

    def _first_loss(self, trainer: Trainer, held_out: list[data.Batch], on_progress: OnProgress) -> float:
        def compute() -> float:
            return _finite(trainer.evaluate(held_out, on_progress), "the held-out loss before training")

        tokens = [row for batch in held_out for row in batch["input_ids"].tolist()]
        return first_loss.of(self._setup(), self.demo.technique, tokens, self._describe_device(), compute)

    def _batches(self, n: int) -> tuple[list[data.Batch], list[data.Batch]]:
        """Return `n` batches to train on, and those to evaluate on: none for a loss of the script's own."""
        lab, setup = self.lab, self.lab.setup
        size: dict[str, Any] = {"batch": setup.batch, "seq": setup.seq}
        text = (self.text, self.tokenize, self.end)
        if self.demo.batch is not None:
            return [dict(self.demo.batch(lab)) for _ in range(n)], []
        every = data.training_batches(*text, **size, n=n * self.ranks, seed=lab.seed)  # ranks take turns
        batches = _onto(lab.device, every[self.rank_index :: self.ranks])
        if self.demo.step is not None:
            return batches, []
        return batches, _onto(lab.device, data.held_out_batches(*text, **size, n=setup.held_out_rows))

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
            technique=self.demo.technique,
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
            origin=provenance.of_run(self.command),
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
