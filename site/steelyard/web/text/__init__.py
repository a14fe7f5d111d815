"""From data to words and HTML: Markdown, numbers, vocabulary."""
