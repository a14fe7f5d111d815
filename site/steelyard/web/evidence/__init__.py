"""Pages of records: techniques, runs, comparisons, savings."""
