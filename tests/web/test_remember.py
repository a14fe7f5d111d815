"""Results are kept for as long as what they follow from is there, and no longer."""

from __future__ import annotations

import gc
import weakref
from dataclasses import dataclass

import planned
from steelyard.remember import remembered


@dataclass(frozen=True)
class Value:
    name: str


def test_a_result_is_worked_out_once_for_each_value_and_the_rest():
    made = []

    @remembered(2)
    def longer(value: Value, by: int) -> str:
        made.append((value.name, by))
        return value.name * by

    one, twin = Value("a"), Value("a")
    assert [longer(one, 2), longer(one, 2), longer(one, 3), longer(twin, 2)] == ["aa", "aa", "aaa", "aa"]
    assert made == [("a", 2), ("a", 3), ("a", 2)]
    longer(one, 4)  # the third: the oldest goes
    assert longer(one, 2) == "aa" and made[-1] == ("a", 2)


def test_what_is_kept_goes_with_its_value():
    @remembered(2)
    def boxed(value: Value) -> list[str]:
        return Box([value.name])

    class Box(list[str]):
        pass

    value = Value("a")
    box = weakref.ref(boxed(value))
    assert box() is boxed(value)
    del value

    assert box() is None


def test_records_that_were_read_anew_leave_nothing_behind(settings, client):
    planned.publish(settings.results)
    live = client.application.extensions["steelyard"].live_records
    assert live.refresh()
    for path in ("/", "/plan", "/compare", "/techniques", "/techniques/lora", "/questions/basics/first"):
        assert client.get(path).status_code == 200
    old = weakref.ref(live.value)
    (settings.results / "predictions" / f"{planned.LARGE}.jsonl").unlink()

    assert live.refresh()
    gc.collect()
    assert old() is None
