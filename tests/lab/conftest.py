"""Fixtures of the lab's tests: the tiny model on the CPU, in this process and in fresh ones."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from memlab.measuring.lab import Lab
from memlab.measuring.run import Run
from memlab.measuring.trainer import Trainer
from memlab.options.demo import Demo, load
from memlab.options.setup import Setup
from memlab.results.record import Record
from memlab.training import data
from memlab.training.model import find
from warm import FOR_DEMOS

DEMOS = Path(__file__).parents[2] / "demos"
TINY = Setup(
    model="tiny", device="cpu", batch=2, seq=64, steps=2, warmup=1, lr=1e-3, rank=None, alpha=None, init=None
)


def pytest_configure(config: pytest.Config) -> None:
    """Let pass what peft does with transformers, which is theirs to settle, and a name that is to change.

    Transformers renames `gradient_checkpointing_enable`; the oldest of its versions that we support has only
    that name.
    """
    for name in ("is_gradient_checkpointing", "gradient_checkpointing_enable"):
        config.addinivalue_line("filterwarnings", f"ignore:`{name}` is deprecated:FutureWarning")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    """A tiny model gains nothing from threads, and threads that wait for each other cost seconds."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def demo() -> Callable[[str], ModuleType]:
    """Return a function that loads a demo script as a module, without running it."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"demo_{name}", DEMOS / f"{name}.py")
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def run_demo(request: pytest.FixtureRequest) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs a demo as a user does, from a folder that is not the checkout's.

    A demo that trains or predicts imports its libraries `fresh` only where a test is about that.
    """

    def run(
        script: str | Path,
        *arguments: str,
        cwd: Path | None = None,
        fresh: bool = False,
        python_options: Sequence[str] = (),
    ) -> subprocess.CompletedProcess[str]:
        fresh |= bool(python_options)
        python = sys.executable if fresh else request.getfixturevalue("warm_python")
        return subprocess.run(
            [python, *python_options, str(DEMOS / script), *arguments],
            capture_output=True,
            text=True,
            cwd=cwd,
            env=os.environ | FOR_DEMOS,
            check=False,
        )

    return run


def _setup(name: str, **other: Any) -> Setup:
    without = name in ("baseline", "gradient_checkpointing")
    adapters: dict[str, Any] = {} if without else {"rank": 16, "alpha": 16.0}
    adapters |= {"pissa": {"init": "pissa"}, "stack": {"step": "chunked_loss"}}.get(name, {})
    return replace(TINY, **adapters | other)


def _demo(name: str, build: Any) -> Demo:
    demo = load(name)
    return demo if build is None else replace(demo, build=build)


@pytest.fixture(scope="session")
def finished() -> Callable[..., Record]:
    """Return a function that measures a demo on the tiny model in this process, and returns its record.

    Each setup is measured once, whichever tests ask for it; `again` measures it anew, and so does a `build`.
    """
    measured: dict[tuple[str, Setup, int], Record] = {}

    def run(name: str, *, seed: int = 0, again: bool = False, build: Any = None, **other: Any) -> Record:
        setup = _setup(name, **other)
        if build or again or (name, setup, seed) not in measured:
            run = Run(_demo(name, build), setup, seed=seed, command=f"python demos/{name}.py")
            record = run.measure(lambda stage, done, of: None)
            if build or again:
                return record
            measured[name, setup, seed] = record
        return measured[name, setup, seed].model_copy(deep=True)

    return run


@dataclass
class Arm:
    """One technique on the tiny model, ready to train."""

    trainer: Trainer
    batches: list[data.Batch]

    @property
    def model(self) -> torch.nn.Module:
        return self.trainer.model


@pytest.fixture(scope="session")
def arm() -> Callable[..., Arm]:
    """Return a function that builds a demo's technique on the tiny model, one training step done."""

    def make(name: str, precision: str = "mixed", *, build: Any = None, **other: Any) -> Arm:
        setup = _setup(name, precision=precision, **other)
        source = find(setup)
        lab = Lab(setup, 0, source, torch.device(setup.device))
        trainer = Trainer(lab, *_demo(name, build).build(lab))
        text = (data.load("docstrings"), *source.tokenizer())
        batches = data.training_batches(*text, batch=setup.batch, seq=setup.seq, n=4, seed=0)
        batches = [{name: tensor.to(lab.device) for name, tensor in batch.items()} for batch in batches]
        trainer.step(batches[0])
        return Arm(trainer, batches)

    return make
