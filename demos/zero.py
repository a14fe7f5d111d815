"""Run it: python demos/zero.py

ZeRO trains on several ranks, each with its own part of the batch, and shares the model states out among them
where plain data parallelism keeps a whole copy in every rank. Stage 1 shards the optimizer's states, stage 2
the gradients as well, stage 3 the weights too, which are then gathered layer by layer as they are needed.

Rajbhandari et al., "ZeRO: Memory Optimizations Toward Training Trillion Parameter Models", arXiv 1910.02054.

Where the bytes go, per parameter, in each of N ranks (section 5 of the paper):

    --stage                               0      1           2           3
    weight, bf16                          2      2           2           2/N
    gradient, bf16                        2      2           2/N         2/N
    the optimizer's own weight, fp32      4      4/N         4/N         4/N
    Adam's two moments, fp32              8      8/N         8/N         8/N
    model states                         16      4 + 12/N    2 + 14/N    16/N

So stages 1 and 2 save at most a factor of 4 and 8 however many ranks there are, and only stage 3 saves in
proportion to them. Activations are never sharded, and a rank alone (N = 1) saves nothing: on one GPU it is
--offload that helps, which keeps the optimizer's states in the host's memory.

    python demos/zero.py --stage 3 --ranks 4               each further run adds its row to the table
    python demos/zero.py --stage 2 --ranks 1 --offload     on a single GPU

Torchrun's agent starts the ranks: NCCL with a GPU for each, gloo with all of them on the CPU. Each leaves a
record; the one without a rank's index is the heaviest rank's. Stage 0 runs beside the stage asked for.

Where DeepSpeed differs from the formulas, by name: a flat buffer is padded until its parts are of one size;
in stages 1 and 2 a tensor that lies across two parts has its reduced gradient whole in both ranks; Adam
counts its steps in 4 bytes a tensor; the fp32 gradient of a rank's part lives as long as the optimizer's
step, and counts as a temporary. Buckets, gathered weights and gradients on their way are buffers. Offloaded,
the reduced gradients wait for the optimizer on the host, in fp32, and so count beside the bf16 ones.
"""

from memlab import Demo, launch


def config(setup):
    """Return DeepSpeed's configuration; its defaults are for large models and would swamp a small one."""
    zero = {
        "stage": setup.stage,
        # Gradients are reduced, and updated weights are gathered, by so many elements at a time.
        "reduce_bucket_size": 500_000,
        "allgather_bucket_size": 500_000,
        "overlap_comm": False,  # would take the buckets twice
        # Stage 3: by default small weights stay whole in every rank, and gathered ones stay for a while.
        "stage3_param_persistence_threshold": 0,
        "stage3_prefetch_bucket_size": 0,
        "stage3_max_live_parameters": 0,
        "stage3_max_reuse_distance": 0,
    }
    if setup.offload:
        zero["offload_optimizer"] = {"device": "cpu"}
    return {
        "train_micro_batch_size_per_gpu": setup.batch,
        "bf16": {"enabled": True},
        "gradient_clipping": 0.0,  # the other demos do not clip either
        "zero_optimization": zero,
        "zero_force_ds_cpu_optimizer": False,  # offloaded or not, the optimizer is the same AdamW
    }


def build(lab):
    """Return the model and the optimizer; `lab` measures training steps with them."""
    import deepspeed  # NEW

    # ---- the model ---------------------------------------------------------------------------------------
    # NEW: bf16 weights, whatever the stage; the fp32 ones are made from them, and belong to the optimizer.
    model = lab.load_model("bfloat16")  # NEW

    # ---- what is trained ---------------------------------------------------------------------------------
    # AdamW keeps two moments for every trainable parameter. Here, that is every parameter.
    optimizer = lab.optimizer(model)
    # NEW: DeepSpeed hands the optimizer this rank's part of the weights in fp32, in place of the model's own.
    model, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=config(lab.setup))  # NEW
    # NEW: in stage 0, DeepSpeed makes the moments by a step without gradients; Adam must not count that one.
    optimizer.state.clear()  # NEW
    return model, optimizer


# NEW: the training step is DeepSpeed's (`memlab.measuring.zero.ShardedTrainer.step`):
#
#     loss = model(**batch).loss
#     model.backward(loss)
#     model.step()

DEMO = Demo("zero", build, lr=1e-4, sharded=True)

if __name__ == "__main__":
    launch.main(DEMO, __doc__)
