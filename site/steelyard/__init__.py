"""A quiz about memory-efficient fine-tuning in which every number is weighed."""
