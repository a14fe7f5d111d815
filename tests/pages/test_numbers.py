"""Numbers are written in one place, with units that people know."""

from __future__ import annotations

import pytest

from steelyard.web.text import numbers

pytestmark = pytest.mark.usefixtures("english")


def plain_spaces(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000 * 1024**2, "0.98 GiB"),
        (1024, "1.0 KiB"),
        (924.8 * 1024**2, "924.8 MiB"),
        (1024**3, "1.00 GiB"),
        (2800 * 1024**3, "2,800.00 GiB"),
    ],
)
def test_a_gib_is_1024_cubed(value: float, words: str) -> None:
    assert plain_spaces(numbers.size(value)) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.325, "32.5%"),
        (0.0, "0.0%"),
        (-0.083, "-8.3%"),
        (0.0078125, "0.78%"),
        (0.000123, "0.012%"),
        (1, "100.0%"),
    ],
)
def test_a_fraction_is_read_as_a_percentage(value: float, words: str) -> None:
    assert numbers.percent(value) == words


@pytest.mark.parametrize(("value", "words"), [(2.314, "2.31 s"), (0.0853, "85.3 ms"), (63, "63.00 s")])
def test_a_time_has_its_unit(value: float, words: str) -> None:
    assert plain_spaces(numbers.seconds(value)) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [(4_884_480, "4,884,480"), (0.9921875, "0.9922"), (0.708, "0.708"), (90_282_500_000, "90,282,500,000")],
)
def test_a_number_without_a_unit_keeps_its_figures(value: float, words: str) -> None:
    assert numbers.plain(value) == words


@pytest.mark.parametrize(
    ("write", "value", "words"),
    [
        (numbers.plain, 1e60, "1E60"),
        (numbers.count, 10**40, "1E40"),
        (numbers.times, 2.5e300, "×2.5E300"),
        (numbers.percent, -1e30, "-1E32%"),
        (numbers.percent, float("-inf"), "∞%"),
    ],
)
def test_no_number_is_too_large_to_be_written(write, value: float, words: str) -> None:
    assert write(value) == words


def test_a_difference_shows_its_direction() -> None:
    assert (numbers.difference(0.0214), numbers.difference(-0.0214)) == ("+0.021", "−0.021")
