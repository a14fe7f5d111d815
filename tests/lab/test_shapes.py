"""The shapes are those of the models that they are named after."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest

from memlab.options.setup import Setup
from memlab.results import shapes
from memlab.training import model

ROWS = {
    cells[0].strip("`"): cells[2:4]
    for line in (shapes.FOLDER / "README.md").read_text(encoding="utf-8").splitlines()
    if len(cells := [cell.strip() for cell in line.strip("|").split("|")]) == 5 and cells[0].startswith("`")
}
_UNITS = {"M": 10**6, "B": 10**9, "": 1}


def test_every_shape_is_in_the_table_and_the_other_way_round():
    assert sorted(ROWS) == shapes.names()


@pytest.mark.parametrize("name", shapes.names())
def test_a_shape_has_as_many_parameters_as_its_authors_publish(name):
    counted, published = ROWS[name]
    found = re.fullmatch(r"([\d,.]+)([MB]?)", published)
    number = Decimal(found[1].replace(",", ""))
    last_digit = Decimal(1).scaleb(number.as_tuple().exponent)
    count = model.find(Setup(model=name, predict=True)).count_parameters()

    assert f"{count:,}" == counted
    assert abs(Decimal(count) / _UNITS[found[2]] - number) < last_digit
