"""Pseudonyms that are easy to read, to say and to remember: `amber-heron-41`."""

from __future__ import annotations

import secrets

COLOURS = """
amber ash azure birch blue bronze cedar clay cobalt copper coral cream crimson emerald fern flint golden green
grey hazel indigo ivory jade lilac lime maple mint moss navy ochre olive opal pearl plum rose ruby rust sage
sand scarlet silver slate teal umber violet white
"""
ANIMALS = """
badger beaver bison camel crane deer dolphin dove eagle falcon ferret finch fox gecko goose hare hawk hedgehog
heron horse ibex ibis jay kestrel koala lark lemur lion lynx marten mole moose otter owl panda penguin puffin
quail raven robin seal sparrow squirrel stork swallow swan tern tiger toad turtle walrus whale wren zebra
"""


def suggestion() -> str:
    """Return a pseudonym drawn at random, out of more than two hundred thousand."""
    colour, animal = secrets.choice(COLOURS.split()), secrets.choice(ANIMALS.split())
    return f"{colour}-{animal}-{10 + secrets.randbelow(90)}"
