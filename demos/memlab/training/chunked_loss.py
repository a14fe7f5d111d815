"""Chunked cross-entropy: the loss over a few tokens at a time, without the whole batch's logits.

The logits are the largest tensor of a small model: batch × seq × vocabulary, in bf16, then in fp32, then as a
gradient. Here each chunk of tokens passes through the output head and the loss under activation
checkpointing; the backward pass recomputes its logits. The sum is over the same tokens, in another order.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import cross_entropy, pad
from torch.utils.checkpoint import checkpoint
from transformers.modeling_outputs import CausalLMOutput

from memlab.training.data import IGNORED

TOKENS = 256
"""Tokens whose logits are alive at the same time."""


class ChunkedLoss(torch.nn.Module):
    """Wraps a causal language model (or a PEFT model of one); its output has the mean loss and no logits."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, labels: torch.Tensor) -> CausalLMOutput:
        """Return the mean loss in nats per predicted token; both arguments are batch × seq of int64."""
        model: Any = self.model
        causal = model.get_base_model() if hasattr(model, "get_base_model") else model
        hidden = causal.base_model(input_ids=input_ids).last_hidden_state.flatten(0, 1)
        # Token n predicts token n + 1; the last one of each sequence predicts nothing.
        targets = pad(labels[:, 1:], (0, 1), value=IGNORED).flatten()
        head = causal.get_output_embeddings()
        chunks = zip(hidden.split(TOKENS), targets.split(TOKENS), strict=True)
        summed = sum(checkpoint(_summed_loss, head, *chunk, use_reentrant=False) for chunk in chunks)
        return CausalLMOutput(loss=summed / (targets != IGNORED).sum())


def _summed_loss(head: torch.nn.Module, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the sum of the losses of a chunk; `hidden` is tokens × width, `targets` has one id per token."""
    return cross_entropy(head(hidden).float(), targets, ignore_index=IGNORED, reduction="sum")
