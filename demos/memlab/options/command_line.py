"""A demo's command line, read into a `Setup`. It imports no torch.

Everything that can be refused is refused here, before torch, a model or a data set is loaded.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import sys
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NoReturn

from memlab.options import description, packages
from memlab.options.demo import Demo
from memlab.options.setup import (
    BUNDLED,
    DOCSTRINGS,
    QUICK,
    RANDOM,
    SHARDING,
    SHARDING_OPTIONS,
    Setup,
    UsageError,
    bundled_gguf,
    fixed,
    flag,
    folder_for,
)
from memlab.results import record, shapes
from memlab.results.costs import WORKS, read_all
from memlab.results.files import HOME
from memlab.results.numbers import duration, in_bytes
from memlab.results.record import Record

_REPLAYED = (
    *("precision", "batch", "seq", "steps", "warmup", "lr"),
    *("rank", "alpha", "init", "step", "stage", "offload"),
)
"""What `--like` takes from a record as it is."""

_BESIDE_LIKE = frozenset(
    ("like", "predict", "for_", "gpu_memory", "device", "out", "json", "model", "random_init", "dataset")
)


class _Parser(argparse.ArgumentParser):
    """An argument parser that answers bad input with one line."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message.removeprefix("argument "))


def parse(arguments: Sequence[str], demo: Demo, about: str, *, home: Path) -> tuple[Setup, Record | None]:
    """Read a demo's command line; return the setup and the record that `--like` names.

    `about` is the docstring of the demo's script and `home` the folder in which it lies. Raises UsageError.
    """
    lacking = fixed(adapters=demo.adapters, own=demo.own)
    hidden = (*lacking, *(() if demo.sharded else SHARDING_OPTIONS))
    given = vars(_parser(demo, about, hidden).parse_args(arguments))
    setup = Setup(**lacking | given)
    if setup.gpu_memory is not None and setup.predict:
        setup = replace(setup, for_="cuda")
    packages.check(setup.model, demo.needs)
    theirs = None
    if setup.like is not None:
        theirs = _read_like(setup.like, demo.technique)
        for name in given:
            if name not in _BESIDE_LIKE:
                raise UsageError(
                    f"{flag(name)}: --like takes the setup from the record; leave {flag(name)} out"
                )
        setup = _replayed(setup, theirs, given)
    else:
        setup = replace(setup, lr=setup.lr or demo.default_lr(setup))
        if setup.quick:
            quick: dict[str, Any] = {name: QUICK[name] for name in QUICK if name not in given}
            setup = replace(setup, quick=False, **quick)
        if demo.sharded:
            setup = replace(setup, **SHARDING | {name: given[name] for name in SHARDING if name in given})
    if demo.sharded:
        _check_sharding(setup)
    _check(setup, home)
    return setup, theirs


def _parser(demo: Demo, about: str, hidden: Collection[str]) -> _Parser:
    parser = _Parser(
        prog=f"{demo.technique}.py",
        usage=f"python demos/{demo.technique}.py [options]",
        description=about,
        epilog=_cost(demo.technique),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
        add_help=False,
    )
    groups: dict[str, argparse._ArgumentGroup] = {}
    defaults, options = {**SHARDING, "lr": demo.lr}, []
    for option in fields(Setup):
        if option.name in hidden:
            continue
        argument = dict(option.metadata)
        group = argument.pop("group")
        if group not in groups:
            groups[group] = parser.add_argument_group(group)
        if isinstance(option.default, bool):
            argument["action"] = "store_true"
        # argparse cannot fill in the default: options that were not given must leave no trace (`SUPPRESS`).
        shown = f"{option.default:g}" if isinstance(option.default, float) else str(option.default)
        argument["help"] = argument["help"].replace("{default}", shown).replace("{lr}", f"{demo.lr:g}")
        for name, value in SHARDING.items():
            argument["help"] = argument["help"].replace(f"{{{name}}}", str(value))
        groups[group].add_argument(flag(option.name), dest=option.name, **argument)
        options.append(description.described(option, defaults.get(option.name, option.default)))
    groups["where"].add_argument("-h", "--help", action="help", help="show this text and stop")
    description.add_option(groups["where"], options)
    return parser


def _cost(technique: str) -> str | None:
    """Say what the demo takes on the machines where that was measured; None for a script that is not ours."""
    lines = []
    for costs in read_all(HOME / "results"):
        parts = [
            f"{' '.join(('python demos/' + technique + '.py', *options))}: {duration(cost.seconds)} and "
            f"{in_bytes(cost.process_bytes)}"
            for work, options in WORKS.items()
            if (cost := costs.of(technique, work))
        ]
        if parts:
            lines.append(f"what it takes, both runs, on {costs.machine}:\n  " + "\n  ".join(parts))
    return "\n".join(lines) or None


# ---- --like ----------------------------------------------------------------------------------------------


def _read_like(path: Path, technique: str) -> Record:
    try:
        theirs = record.read(path)
    except OSError as error:
        raise UsageError(f"--like {path}: cannot be read ({error.strerror}); give a record's path") from None
    except ValueError:
        raise UsageError(
            f"--like {path}: is not a record; records lie in demos/results and demos/out"
        ) from None
    if theirs.technique != technique:
        raise UsageError(
            f"--like {path}: is a record of {theirs.technique}; "
            f"run python demos/{theirs.technique}.py --like {path}"
        )
    return theirs


def _replayed(setup: Setup, theirs: Record, given: dict[str, Any]) -> Setup:
    same = theirs.setup
    if "model" not in given:
        model = same.model.removesuffix(RANDOM)
        setup = replace(setup, model=model, random_init=model != same.model)
    return replace(
        setup,
        ranks=None if same.stage is None else same.ranks,
        **{name: getattr(same, name) for name in _REPLAYED},
    )


# ---- what argparse cannot see ----------------------------------------------------------------------------


def _check(setup: Setup, home: Path) -> None:
    check_model(setup)
    if setup.dataset != DOCSTRINGS and importlib.util.find_spec("datasets") is None:
        raise UsageError(
            f"--dataset {setup.dataset}: data sets need the package datasets; pip install datasets"
        )
    if setup.predict:
        _check_prediction(setup)
    else:
        for name in ("for_", "gpu_memory"):
            if getattr(setup, name) != getattr(Setup, name):
                raise UsageError(f"{flag(name)}: says what to predict; add --predict")
    if setup.publish and setup.out is not None:
        raise UsageError("--publish: chooses the folder itself; leave --out out")
    if setup.publish and (setup.model == "tiny" or setup.random_init):
        raise UsageError("--publish: a random model proves nothing about training; choose a trained --model")
    _check_writable(home / "results" if setup.publish else folder_for(setup, home))


def _check_prediction(setup: Setup) -> None:
    if setup.publish:
        raise UsageError("--publish: publishes what was measured; leave it out, or --predict")
    if setup.device != "auto":
        raise UsageError(f"--device {setup.device}: a prediction runs on no device; leave it out")
    if setup.seeds > 1:
        raise UsageError(f"--seeds {setup.seeds}: every seed has the same prediction; leave it out")


def _check_sharding(setup: Setup) -> None:
    if importlib.util.find_spec("deepspeed") is None:
        raise UsageError("ZeRO needs the package deepspeed, on Linux; pip install deepspeed")
    if setup.predict and setup.for_ == "cuda":
        raise UsageError(
            "--for cuda: ranks are predicted as on a CPU alone; leave --for and --gpu-memory out"
        )
    if setup.stage not in (0, 1, 2, 3):
        raise UsageError(f"--stage {setup.stage}: ZeRO has the stages 0, 1, 2 and 3")
    if setup.offload and setup.stage == 0:
        raise UsageError("--offload: stage 0 shards nothing and offloads nothing; give --stage 1, 2 or 3")
    if setup.precision != "mixed":
        raise UsageError(
            f"--precision {setup.precision}: ZeRO's states are those of mixed precision, bf16 beside an fp32 "
            "master copy; leave --precision out"
        )


def check_model(setup: Setup) -> None:
    """Raise UsageError for a `--model` that cannot be had."""
    name, path = setup.model, Path(setup.model)
    if name == "tiny":
        return  # with --random-init or without: its weights are random
    if name == BUNDLED:
        bundled_gguf()
    elif shapes.path(name):
        if not setup.random_init and not setup.predict:
            raise UsageError(f"--model {name}: is a shape without weights; add --random-init")
    elif path.is_dir():
        if not (path / "config.json").is_file():
            raise UsageError(
                f"--model {name}: the folder holds no config.json; give a folder made by save_pretrained"
            )
    elif path.is_file():
        if path.suffix != ".json":
            raise UsageError(
                f"--model {name}: is a file; give its folder, or a config.json with --random-init"
            )
        if not setup.random_init and not setup.predict:
            raise UsageError(f"--model {name}: a configuration holds no weights; add --random-init")
    elif re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name):
        _check_hub(name)
    else:
        raise UsageError(f"--model {name}: no such folder or file, and not a name; see --help")


def _check_hub(name: str) -> None:
    """Ask the hub whether the model exists, so that a wrong name fails here and not in every run."""
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        if isinstance(try_to_load_from_cache(name, "config.json"), str):
            return
        HfApi().model_info(name, timeout=10)
    except (HfHubHTTPError, HFValidationError) as error:
        why = f"and the Hugging Face hub refuses it ({type(error).__name__}); check the name"
    except Exception:  # no network: the type depends on the HTTP library that the hub's client was built on
        why = "and the Hugging Face hub cannot be asked from here; check the name or the network"
    else:
        return
    raise UsageError(f"--model {name}: not {BUNDLED}, tiny, a folder or a config.json here, {why}")


def _check_writable(folder: Path) -> None:
    option = "--publish" if folder.name == "results" else "--out"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UsageError(
            f"{option} {folder}: cannot be written ({error.strerror}); choose another folder with --out"
        ) from None


def refuse(script: str, error: UsageError) -> NoReturn:
    """Print the one line and leave with status 2."""
    sys.stderr.write(f"{script}: {error}\n")
    raise SystemExit(2)
