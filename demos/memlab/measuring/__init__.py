"""Measure a training step: where its bytes are, how long it takes and what it learns."""
