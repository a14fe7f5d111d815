"""The Markdown and HTML of questions: one dialect, what pages keep of HTML, which formulas are safe."""
