"""The bank: Markdown files to questions, and every problem of those files.

Import from the modules: `model` (what a question is), `parse` (one file), `load` (a folder). The rules that
need more than one file are in `steelyard.checks`, above the bank and the evidence.
"""
