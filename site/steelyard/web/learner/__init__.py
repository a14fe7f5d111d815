"""What concerns a learner's own data: progress, privacy, devices, classes."""
