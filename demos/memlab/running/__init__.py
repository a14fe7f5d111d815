"""Start runs as processes of their own, follow them and read what they report."""
