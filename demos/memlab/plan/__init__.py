"""What fits on a GPU, searched and tabled by prediction."""
