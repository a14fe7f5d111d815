"""What fits on a GPU: a search and a published grid, both by prediction."""
