"""Many runs in one go, each once, and the sets that are published."""
