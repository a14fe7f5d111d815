"""Questions to and from other systems: GIFT and Moodle XML both ways, QTI 1.2 (Canvas) outward.

Both ways lead over `item.Item`, a question whose texts are HTML: `export` makes one from a question of
the bank, `files` makes a question file from one. What a format cannot hold is never lost silently:
whoever exports or imports is told, one line for each loss.
"""
