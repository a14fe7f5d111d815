"""What a demo is, and what its command line accepts. No torch."""
