"""Claims and the tests that decide them, as data.

The contract between the bank, whose files make claims, and the evidence, which judges them.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Verdict = Literal["holds", "does-not-hold", "holds-only-for", "open"]
"""What is taught about a claim; `open` means that nothing decides it yet."""

Scalar = str | int | float | bool | None

Selection = dict[str, Scalar]
"""Which records a test means: field → value, always with `technique` (`{"technique": "dora", "rank": 8}`)."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Test(_Strict):
    """One test of a claim: a source of its value (exactly one of `of`, `compute`, `cite`) and an interval."""

    __test__ = False  # not a test case, whatever its name suggests to pytest

    of: Selection | None = None
    against: Selection | None = None
    take: Literal["saving", "ratio", "difference", "fraction", "value"] = "value"
    """saving = 1 - of/against, ratio = of/against, difference = of - against; fraction = metric/whole.

    Given `against`, the default is `saving`.
    """
    metric: Annotated[str, Field(max_length=100)] = "memory.peak_bytes"
    """A path in the record, or a number of two records: `steps_to_loss`, `loss_at_equal_seconds`."""
    whole: Annotated[str, Field(max_length=100)] | None = None
    """A path in the same record: that of which a fraction is a fraction."""
    seeds: Annotated[int, Field(ge=1, le=1000)] = 1
    """How many repeats with different seeds each side needs."""
    steps: Annotated[int, Field(ge=1)] = 1
    """How many steps each run needs to have made, the warm-up not counted."""
    compute: Annotated[str, Field(max_length=200, pattern=r"^[0-9eE.+\-*/() ]+$")] | None = None
    cite: Annotated[str, Field(min_length=1, max_length=400)] | None = None
    value: float | None = None
    """The figure that the cited source gives."""
    within: tuple[float | None, float | None]
    expect: bool = True
    """Whether the value should lie within the interval."""
    line: int = 1

    @field_validator("of", "against", mode="before")
    @classmethod
    def _technique_alone(cls, value: object) -> object:
        return {"technique": value} if isinstance(value, str) else value

    @model_validator(mode="before")
    @classmethod
    def _saving_by_default(cls, value: object) -> object:
        if isinstance(value, dict) and value.get("against") is not None and "take" not in value:
            return {**value, "take": "saving"}
        return value

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(source is not None for source in (self.of, self.compute, self.cite)) != 1:
            raise ValueError("a test needs exactly one of of, compute, cite")
        if self.of is None and self.against is not None:
            raise ValueError("against goes with of")
        if (self.take in ("saving", "ratio", "difference")) != (self.against is not None):
            raise ValueError(
                "take: saving, ratio and difference go with against, take: value and fraction without"
            )
        if (self.take == "fraction") != (self.whole is not None):
            raise ValueError("take: fraction needs whole, and whole goes only with it")
        for side in (self.of, self.against):
            if side is not None and not isinstance(side.get("technique"), str):
                raise ValueError("of and against need a technique")
        if (self.cite is None) != (self.value is None):
            raise ValueError("cite needs the value that the source gives, and value goes only with cite")
        low, high = self.within
        if low is None and high is None:
            raise ValueError("within needs at least one bound")
        if low is not None and high is not None and low > high:
            raise ValueError("the lower bound of within is above the upper bound")
        return self


class Claim(_Strict):
    """A sentence that can be weighed. In the text, `[words](#id)` attaches its verdict to the words."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)]
    says: Annotated[str, Field(min_length=1, max_length=500)]
    verdict: Verdict = "open"
    """What the author teaches."""
    only_for: Annotated[str, Field(min_length=1, max_length=300)] | None = None
    tests: tuple[Test, ...] = ()
    line: int = 1
