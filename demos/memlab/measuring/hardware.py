"""The device of a run: choose it, refuse a busy GPU, describe it, and read what it and the process hold."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import psutil
import torch

from memlab.options.setup import UsageError
from memlab.results.record import Device
from memlab.training import bf16_kernels

BUSY_BYTES = 500 * 1000**2
"""A GPU that holds more than this before the run starts is in use by another process, and is refused."""


def choose(name: str) -> torch.device:
    """Return the device that `--device` names (`auto`, `cpu` or `cuda`).

    Raises UsageError when it is missing or in use.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        # Read before torch touches the GPU: its own context takes hundreds of megabytes.
        held_bytes = gpu_held_bytes()
        if not torch.cuda.is_available():
            raise UsageError(
                "--device cuda: torch finds no GPU here; use --device cpu, or a torch built for CUDA"
            )
        if held_bytes is not None and held_bytes > BUSY_BYTES and not torch.cuda.is_initialized():
            raise UsageError(
                f"--device cuda: the GPU already holds {held_bytes / 1000**2:.0f} MB, and its numbers would "
                "not be ours; stop what runs there, or choose another GPU with CUDA_VISIBLE_DEVICES"
            )
    return torch.device(name)


def describe(device: torch.device) -> Device:
    """Return the record's description of the device: its name, memory in bytes, and driver or threads."""
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return Device(
            kind="cuda",
            name=properties.name,
            memory_bytes=properties.total_memory,
            driver=_nvidia_smi("driver_version"),
        )
    # The number of threads decides on a CPU's time and on some kernels' buffers, so it is part of the name.
    threads = torch.get_num_threads()
    name = f"{_cpu_name()}, {threads} thread{'s' * (threads > 1)}"
    return Device(
        kind="cpu",
        name=name,
        memory_bytes=psutil.virtual_memory().total,
        threads=threads,
        bf16_kernel=bf16_kernels.choose(bf16_kernels.this_cpu()).name,
    )


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished all queued work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def reserved_bytes(device: torch.device) -> int | None:
    """Return the bytes that PyTorch's allocator has reserved on the GPU, in use or not; None on a CPU."""
    return torch.cuda.memory_reserved(device) if device.type == "cuda" else None


def gpu_held_bytes() -> int | None:
    """Return the bytes in use on the GPU by all processes, from NVML; None where NVML is not available."""
    used = _nvidia_smi("memory.used")  # in MiB
    return int(used) * 1024**2 if used is not None and used.isdigit() else None


def process_peak_bytes() -> int:
    """Return the peak resident set of this process, in bytes."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _nvidia_smi(field: str) -> str | None:
    """Return one field of NVML for the first visible GPU, by nvidia-smi; None where that does not run."""
    gpu = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    command = ["nvidia-smi", f"--query-gpu={field}", "--format=csv,noheader,nounits", "-i", gpu or "0"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
