"""Start one run as several ranks with torchrun's agent, and make one record of theirs.

Each rank is a process of its own that runs the same script. It writes its record into a folder; rank 0 also
reports progress, on the same pipe as a run without ranks does. When one rank dies the agent ends the others,
and what became of the first one is the result.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import tempfile
import uuid
from pathlib import Path
from typing import Any

from memlab.options.setup import Setup, UsageError
from memlab.results.ranks import of_all
from memlab.results.record import Record, read
from memlab.results.writing import write_whole

_FOLDER = "MEMLAB_RANKS"
_LOST = re.compile("by peer|remote process exited")
"""How gloo and NCCL say that a rank failed for want of another one."""


def is_rank() -> bool:
    """Whether this process is one of the ranks."""
    return _FOLDER in os.environ


def start(setup: Setup) -> dict[str, Any]:
    """Run this process's own command line as `setup.ranks` ranks; return the message for the parent.

    It holds either `record` (of all ranks) and `parts` (of each), or `code` and `who` when a rank died
    without a record. Raises UsageError when there are fewer GPUs than ranks.
    """
    import torch
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    from memlab.measuring import hardware

    assert setup.ranks is not None
    on_gpus = hardware.choose(setup.device).type == "cuda"
    if on_gpus and setup.ranks > torch.cuda.device_count():
        raise UsageError(
            f"--ranks {setup.ranks}: each rank needs a GPU of its own, and torch finds "
            f"{torch.cuda.device_count()}; give fewer --ranks, or --device cpu"
        )
    with tempfile.TemporaryDirectory() as folder:
        os.environ[_FOLDER] = folder
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=setup.ranks,
            run_id=uuid.uuid4().hex,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            local_addr="localhost",
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(log_dir=folder),
            virtual_local_rank=on_gpus,
        )
        codes: dict[int, int] = {}
        try:
            elastic_launch(config, sys.executable)(*sys.argv)
        except ChildFailedError as error:
            codes = {rank: failure.exitcode for rank, failure in error.failures.items()}
        records = [read(path) for path in sorted(Path(folder).glob("rank-*.json"))]
    return _message(records, codes, setup.ranks)


def _message(records: list[Record], codes: dict[int, int], ranks: int) -> dict[str, Any]:
    bad = [one for one in records if one.status != "ok"]
    # The agent ends the ranks that are left by this signal, and lists them among the failed ones.
    told = any(not _LOST.search(one.message or "") for one in bad)
    ended = {-signal.SIGTERM} if told else set()
    killed = [rank for rank in codes if codes[rank] < 0 and codes[rank] not in ended]
    if killed or (len(records) < ranks and not bad):
        # The others may have failed as well since, for want of the one that was killed.
        who = next(iter(killed or codes), 0)
        return {"who": f"rank {who} ", "code": codes.get(who, 0)}
    if bad:
        first = min(bad, key=lambda one: one.origin.created)
        message = f"rank {first.setup.rank_index}: {first.message}"[:500]
        return {"record": of_all([first]).model_copy(update={"message": message}).model_dump_json()}
    return {
        "record": of_all(records).model_dump_json(),
        "parts": [one.model_dump_json() for one in records],
    }


def index() -> int:
    """Return which of the ranks this process is."""
    return int(os.environ["RANK"])


def hand_in(record: Record) -> None:
    """Leave this rank's record for the agent; end the process with status 1 when the run is no good."""
    write_whole(Path(os.environ[_FOLDER]) / f"rank-{index():05d}.json", record.model_dump_json())
    if record.status != "ok":
        # Skip atexit handlers: gloo and NCCL would block on a collective that this rank never joins.
        sys.stderr.flush()
        os._exit(1)
