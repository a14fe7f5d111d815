"""The techniques that have a demo, in the order in which pages and tables list them. No torch."""

from __future__ import annotations

TECHNIQUES = ("baseline", "gradient_checkpointing", "lora", "qlora", "pissa", "dora", "stack", "zero")
