"""python tests/bench/check.py [FILES]: the speed of `steelyard check` beside text2qti, and of a saved file.

The same questions are written in both formats. text2qti parses its quizzes in this process, one question each,
with its own defaults; Steelyard reads the files from disk, parses, and checks every rule.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from queue import Queue

from text2qti.config import Config
from text2qti.quiz import Quiz

from steelyard.bank.load import Loader, load
from steelyard.bank.model import Bank
from steelyard.checks import check
from steelyard.evidence import Records
from steelyard.live import Live
from steelyard.problems import Problem

FILES = 10_000
SAMPLE = 1_000
"""How many questions text2qti gets: its time per question is what is compared."""
SAVES = 40
LETTERS = "ABCD"

STEM = (
    "In run {n}, LoRA of rank {rank} is put on every linear layer of a frozen model. Which of these *shrink*?"
)
CHOICES = (
    "The gradients of the base model, run {n}",
    "The optimizer's states",
    "The weights of the base model",
    "The activations of `forward`",
)
FEEDBACK = (
    "Frozen weights need none, so **{n} matrices** keep no gradient.",
    "Adam keeps two moments for each *trained* number only.",
    "They stay in place and take part in every step.",
    "They depend on batch and sequence, and on the base model that stays.",
)
GENERAL = "Trained are $r(d_{{in}} + d_{{out}})$ numbers a layer, here with $r = {rank}$; the base model stays as it was."
FRONT = """---
techniques: [lora]
difficulty: 2
tags: [memory]
claims:
  - id: thin-{n}
    says: Two thin matrices of rank {rank} hold less than a tenth of a 4096 by 4096 one.
    verdict: holds
    tests: [{{compute: "2*{rank}*4096/4096**2", within: [null, 0.1]}}]
---
"""


def ours(n: int) -> str:
    """Return question `n` as a file of Steelyard's, with front matter, a claim and a link to it."""
    values = {"n": n, "rank": 2 ** (n % 7)}
    choices = "\n\n".join(f"{letter}. {text}" for letter, text in zip(LETTERS, CHOICES, strict=True))
    feedback = "\n\n".join(f"### {letter}.\n{text}" for letter, text in zip(LETTERS, FEEDBACK, strict=True))
    text = (
        f"{FRONT}# Question {{n}}\n\n## Question\n{STEM}\n\n## Choices\n{choices}\n\n## Answer\n**A, B**\n\n"
        f"## Explanation\n{GENERAL} That is [less than 10 %](#thin-{{n}}).\n\n{feedback}\n"
    )
    return text.format(**values)


def theirs(n: int) -> str:
    """Return question `n` as a quiz of text2qti's."""
    choices = "\n".join(
        f"[{'*' if i < 2 else ' '}] {choice}\n... {feedback}"
        for i, (choice, feedback) in enumerate(zip(CHOICES, FEEDBACK, strict=True))
    )
    text = f"Quiz title: Question {{n}}\n\nTitle: Question {{n}}\n1. {STEM}\n... {GENERAL}\n{choices}\n"
    return text.format(n=n, rank=2 ** (n % 7))


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds by the clock on the wall, and those that this process spent computing."""
    wall, own = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - own


def write(root: Path, files: int) -> None:
    for n in range(files):
        folder = root / f"quiz{n // 100:03}"
        folder.mkdir(exist_ok=True)
        (folder / f"q{n % 100:02}.en.md").write_text(ours(n), encoding="utf-8")


def time_check(root: Path, files: int) -> None:
    found: list[Problem] = []
    wall, own = seconds(lambda: found.extend(check(load(root), Records({}))))
    assert not [problem for problem in found if problem.is_error], found[:3]
    config = Config()
    sample = min(SAMPLE, files)
    their_wall, their_own = seconds(lambda: [Quiz(theirs(n), config=config) for n in range(sample)])
    print(f"check of {files} files: {wall:.2f} s, {wall / files * 1e3:.3f} ms each (aim < 20 s, < 2.5 ms)")
    print(f"text2qti 0.8.0 on the first {sample}: {their_wall / sample * 1e3:.3f} ms each")
    # A busy machine stretches the two unevenly; the time spent computing does not mind.
    print(f"text2qti / steelyard, time spent computing: {(their_own / sample) / (own / files):.2f}")


def time_saving(root: Path, saves: int, files: int) -> None:
    """Save a file again and again, and take the time until a reader of the live bank sees it."""
    seen: Queue[tuple[str, float]] = Queue()

    def changed(bank: Bank) -> None:
        question = bank.question("quiz000/q00", "en")
        seen.put((question.title if question else "", time.perf_counter()))

    live = Live(Loader(), root)
    live.watch(changed)
    took = []
    try:
        for n in range(saves):
            time.sleep(0.3 + n % 7 * 0.03)  # a person saves at any moment of the watcher's round
            (root / "quiz000" / "q00.en.md").write_text(
                ours(0).replace("# Question 0", f"# Save {n}"), encoding="utf-8"
            )
            saved = time.perf_counter()
            while (event := seen.get(timeout=30))[0] != f"Save {n}":
                pass
            took.append((event[1] - saved) * 1e3)
    finally:
        live.close()
    median, worst = statistics.median(took), max(took)
    aim = " (aim < 200 ms)" if files <= 1000 else ""
    print(f"saved to live among {files} files: median {median:.0f} ms, worst {worst:.0f} ms of {saves}{aim}")


def main() -> None:
    files = int(sys.argv[1]) if len(sys.argv) > 1 else FILES
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), 200)
        time_saving(Path(folder), SAVES, 200)
        write(Path(folder), files)
        time_check(Path(folder), files)
        time_saving(Path(folder), 5, files)


if __name__ == "__main__":
    main()
