"""What `test_zero.py` runs in every rank: the demo in all its stages, one after the other in the same processes.

Started by torchrun. Each variant's record goes to `<folder>/<variant>-<rank>.json`.
"""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

DEMOS = Path(__file__).parents[2] / "demos"
sys.path.insert(0, str(DEMOS))

from memlab.measuring.zero import ShardedRun  # noqa: E402
from memlab.options.command_line import parse  # noqa: E402
from memlab.options.demo import load  # noqa: E402

spec = importlib.util.spec_from_file_location("demo_zero", DEMOS / "zero.py")
demo = importlib.util.module_from_spec(spec)
spec.loader.exec_module(demo)


def build_in_fp32(lab):
    """The demo's build with fp32 weights: sharding alone is to change nothing."""
    import deepspeed

    model = lab.load_model("float32")
    config = demo.config(lab.setup) | {"bf16": {"enabled": False}}
    optimizer = lab.optimizer(model)
    model, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=config)
    optimizer.state.clear()
    return model, optimizer


def build_with_whole_weights(lab):
    """The demo's build with DeepSpeed's own threshold, below which stage 3 leaves a weight whole."""
    import deepspeed

    model = lab.load_model("bfloat16")
    config = demo.config(lab.setup)
    config["zero_optimization"]["stage3_param_persistence_threshold"] = 100_000
    optimizer = lab.optimizer(model)
    model, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=config)
    return model, optimizer


def main() -> None:
    folder, ranks, *variants = Path(sys.argv[1]), *sys.argv[2:]
    builds = {"bf16": demo.build, "fp32": build_in_fp32, "whole": build_with_whole_weights}
    for variant in variants:
        kind, stage, *offload = variant.split("-")
        words = f"--model tiny --device cpu --batch 2 --seq 64 --steps 3 --warmup 1 --stage {stage} --ranks {ranks}"
        zero = replace(load("zero"), build=builds[kind], lr=1e-3)
        setup, _ = parse([*words.split(), *(f"--{word}" for word in offload)], zero, "", home=folder)
        run = ShardedRun(zero, setup, seed=0, command="python demos/zero.py")
        one = run.measure(lambda stage, done, of: None)
        (folder / f"{variant}-{run.rank_index}.json").write_text(one.model_dump_json())
        if one.status != "ok":
            sys.exit(f"{variant}: {one.message}")


main()
