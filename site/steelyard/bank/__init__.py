"""The bank: Markdown files to questions, and every problem of those files.

Import from the modules: `model` (what a question is), `parse` (one file), `load` (a folder), `checks` (the
rules).
"""
