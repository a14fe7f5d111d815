"""The harness that the demo scripts share: it measures what one training step holds in memory."""
