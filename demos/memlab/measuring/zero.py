"""Measure one rank of a run under ZeRO: DeepSpeed's training step, and a ledger that knows its storages.

What a rank holds is counted on live storages. DeepSpeed's own `memory_allocated()` is not used: on a CPU it
is the size of the whole process.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from functools import cached_property
from typing import Any, Literal

import torch
import torch.distributed

from memlab.measuring.lab import Lab
from memlab.measuring.ledger import Ledger, tensors_in
from memlab.measuring.log import Phase
from memlab.measuring.run import Run
from memlab.measuring.trainer import Trainer, no_phase
from memlab.options.demo import Demo
from memlab.options.setup import Setup
from memlab.results import record
from memlab.training import data

TIMEOUT = timedelta(minutes=10)
"""How long a collective waits for the other ranks before it raises, so that a lost rank hangs none."""

_KEPT = "gradients:kept"
_IN_TRANSIT = "gradients:in transit"
_BUFFERS = "other:buffers"
_GLOO_RESULT = {torch.ops.aten.split.Tensor: 0, torch.ops.aten.copy_.default: 1}
"""Operators by which gloo copies what it has reduced, and the index of the argument that it copies from."""


class ShardedLab(Lab):
    """The lab of one rank: DeepSpeed shards the model states, and nothing runs under autocast."""

    ledger: ShardedLedger | None = None
    """The ledger of the step that is counted, for the hooks on gradients; None before it."""

    @property
    def mixed(self) -> bool:
        """Never under autocast: the model is bf16, and the fp32 weights are the optimizer's own."""
        return False

    def autocast(self) -> AbstractContextManager[Any]:
        """The context of every forward pass: nothing is cast."""
        return nullcontext()

    def load_model(
        self, dtype: Literal["float32", "bfloat16"], quantization_config: Any = None
    ) -> torch.nn.Module:
        """Return the base model as `Lab.load_model` does, with hooks that report gradients to the ledger."""
        model = super().load_model(dtype, quantization_config)
        for parameter in model.parameters():
            # Registered before DeepSpeed's hooks, which move the gradient elsewhere at once.
            parameter.register_post_accumulate_grad_hook(self._on_gradient)
        return model

    def _on_gradient(self, parameter: torch.Tensor) -> None:
        if self.ledger is not None:
            self.ledger.claim_gradient(parameter)


class ShardedLedger(Ledger):
    """A ledger that knows where DeepSpeed keeps weights, gradients and buffers.

    - weights: the parameters, in stage 3 this rank's parts of them
    - gradients:kept: in stages 0 and 1 every gradient until it is reduced; in stages 2 and 3 this rank's part
      of the reduced ones
    - gradients:in transit: in stages 2 and 3 a gradient until it is reduced, in stage 1 the reduced part
    - other:buffers: the buckets, and all else that ranks exchange, such as stage 3's gathered parameters
    - optimizer: the fp32 weights that AdamW updates, and its moments
    """

    def __init__(self, device_type: str, stage: int, engine: Any, optimizer: torch.optim.Optimizer) -> None:
        super().__init__(device_type)
        self._stage = stage
        self._engine = engine
        self._optimizer = optimizer
        self.claim("weights", _weights(engine))
        self.claim(_KEPT, tensors_in([getattr(engine.optimizer, "grad_partitions_flat_buffer", None)]))
        self._claim_buckets()
        self._claim_optimizer_state()

    def claim_gradient(self, parameter: torch.Tensor) -> None:
        """Set the kind of a parameter's gradient that autograd has just accumulated."""
        assert parameter.grad is not None
        self.claim(_KEPT if self._stage < 2 else _IN_TRANSIT, [parameter.grad])
        self._claim_buckets()

    def _claim_buckets(self) -> None:
        for bucket in getattr(self._engine.optimizer, "ipg_buckets", {}).values():
            self.claim(_BUFFERS, tensors_in([bucket.buffer]))

    def _claim_optimizer_state(self) -> None:
        assert self._optimizer is not None
        for master, state in self._optimizer.state.items():
            self._claim_unclaimed("optimizer", [master, *state.values()])

    def _claim_unclaimed(self, kind: str, values: list[Any]) -> None:
        for tensor in tensors_in(values):
            if tensor.device.type == self._device_type:
                entry = self._entry(tensor, born=None)
                entry.kind = entry.kind or kind

    @contextmanager
    def phase(self, name: Phase) -> Iterator[None]:
        """Name the part of the step that runs inside; what the backward pass leaves is the reduced part."""
        with super().phase(name):
            yield
        if name == "backward" and self._stage > 0:
            reduced = tensors_in(list(self._engine.optimizer.averaged_gradients.values()))
            if self._stage == 1:
                self._claim_unclaimed(_IN_TRANSIT, list(reduced))
            else:
                self.claim(_KEPT, reduced)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in _GLOO_RESULT and self._is_gloo_temporary(args[_GLOO_RESULT[func]]):
            return func(*args, **(kwargs or {}))
        result = super().__torch_dispatch__(func, types, args, kwargs)
        if func.namespace == "c10d":
            self._claim_unclaimed(_BUFFERS, list(args))
        return result

    def _is_gloo_temporary(self, tensor: torch.Tensor) -> bool:
        """Whether a collective allocated the tensor: like a kernel's temporary, it is not counted.

        gloo reduces a copy of what stage 3 gives it, and its allocation is not dispatched. Counted as there
        from the start, the copies of a step came to 2 bytes a parameter.
        """
        on_device = tensor.device.type == self._device_type
        return on_device and self._phase == "backward" and tensor.untyped_storage()._cdata not in self._alive


class ShardedTrainer(Trainer):
    """DeepSpeed's training step: the engine runs the backward pass and the optimizer."""

    lab: ShardedLab

    @cached_property
    def _mean(self) -> torch.Tensor:
        return torch.zeros((), device=self.lab.device)

    def step(
        self, batch: data.Batch, phase: Callable[[Phase], AbstractContextManager[None]] = no_phase
    ) -> torch.Tensor:
        """Train on one batch a rank and return the mean of the ranks' losses, a scalar on the device."""
        engine: Any = self.model
        with phase("forward"):
            loss = engine(**batch).loss
        with phase("backward"):
            engine.backward(loss)
        with phase("optimizer"):
            engine.step()
        # One tensor for all steps: gloo's thread frees what it sent a moment after the ranks go on, so a new
        # tensor would be counted in the next step or not, by chance.
        self._mean.copy_(loss.detach() / torch.distributed.get_world_size())
        torch.distributed.all_reduce(self._mean)
        return self._mean.clone()

    def new_ledger(self) -> Ledger:
        """Return a ledger for one step, which the lab's hooks on gradients report to."""
        stage = self.lab.setup.stage
        assert stage is not None
        self.lab.ledger = ShardedLedger(self.lab.device.type, stage, self.model, self.optimizer)
        return self.lab.ledger


class ShardedRun(Run):
    """One rank's measurement, in this process; torchrun's environment (RANK, WORLD_SIZE) says which."""

    lab_type = ShardedLab
    trainer_type = ShardedTrainer

    def __init__(self, demo: Demo, setup: Setup, *, seed: int, command: str) -> None:
        super().__init__(demo, setup, seed=seed, command=command)
        on_gpu = self.lab.device.type == "cuda"
        os.environ["DS_ACCELERATOR"] = self.lab.device.type
        self.ranks, self.rank_index = int(os.environ["WORLD_SIZE"]), int(os.environ["RANK"])
        if on_gpu:
            torch.cuda.set_device(0)  # the only visible one: the launcher shows each rank its own
        else:
            import deepspeed

            # It would compile an operator for a minute, where gloo does as well.
            deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
            torch.set_num_threads(max(1, torch.get_num_threads() // self.ranks))
            if setup.offload:
                self.warning = "on a CPU, offloading moves nothing: host and device are the same memory"
        if not torch.distributed.is_initialized():
            torch.distributed.init_process_group("nccl" if on_gpu else "gloo", timeout=TIMEOUT)

    def to_record(
        self, status: Literal["ok", "oom", "failed", "not_applicable"], message: str | None
    ) -> record.Record:
        """Return the record of what this rank has measured so far."""
        run = super().to_record(status, message)
        count = self.ranks if run.device.kind == "cuda" else 1
        device = run.device.model_copy(update={"count": count})
        return run.model_copy(update={"states": self._states(), "device": device})

    def _setup(self) -> record.Setup:
        return super()._setup().model_copy(update={"rank_index": self.rank_index})

    def _learning(self) -> record.Learning | None:
        learning = super()._learning()
        # In stage 3 a parameter at rest is an empty tensor; the model's own count holds for every stage.
        count = {"trainable_parameters": self.parameters, "total_parameters": self.parameters}
        return learning and learning.model_copy(update=count)

    def _states(self) -> record.States | None:
        if self.ledger is None or self.optimizer is None or self.model is None:
            return None
        state = self.optimizer.state
        # With offloading, the reduced gradients are on the host, in fp32, until the optimizer's step there.
        host_gradients = [master.grad for master in state if master.grad is not None]
        moments = [value for values in state.values() for value in tensors_in(list(values.values()))]
        held_tensors = [*state, *moments, *host_gradients]
        on_gpu = self.lab.device.type == "cuda"
        return record.States(
            parameters_bytes=_nbytes(_weights(self.model)),
            gradients_bytes=self.ledger.peak_bytes({_KEPT}) + _nbytes(host_gradients),
            master_bytes=_nbytes(list(state)),
            moments_bytes=_nbytes(moments),
            buffers_bytes=self.ledger.peak_bytes({_IN_TRANSIT, _BUFFERS}),
            host_bytes=_nbytes([tensor for tensor in held_tensors if tensor.device.type == "cpu"])
            if on_gpu
            else 0,
        )


def _weights(model: torch.nn.Module) -> list[torch.Tensor]:
    """Return the tensors that hold the weights; in stage 3, this rank's parts and what is not sharded."""
    parts = [getattr(parameter, "ds_tensor", parameter) for parameter in model.parameters()]
    return [*parts, *model.parameters(), *model.buffers()]


def _nbytes(tensors: list[torch.Tensor]) -> int:
    """Return the bytes of the storages behind `tensors`, each counted once."""
    storages = {tensor.untyped_storage()._cdata: tensor.untyped_storage().nbytes() for tensor in tensors}
    return sum(storages.values())
