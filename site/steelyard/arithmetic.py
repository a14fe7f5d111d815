"""Arithmetic that an author may write in a claim: numbers, + - * / **, and brackets. Never `eval`."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable

_BINARY: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_UNARY: dict[type[ast.unaryop], Callable[[float], float]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}
MAX_CHARACTERS = 200
MAX_EXPONENT = 64


def compute(expression: str) -> float:
    """Return the value of `expression`. Raises ValueError, worded for its author, when there is none."""
    if len(expression) > MAX_CHARACTERS:
        raise ValueError(f"is longer than {MAX_CHARACTERS} characters")
    try:
        value = _value(ast.parse(expression.strip(), mode="eval").body)
    except (SyntaxError, RecursionError, MemoryError):
        raise ValueError("is not arithmetic") from None
    except ZeroDivisionError:
        raise ValueError("divides by zero") from None
    except OverflowError:
        raise ValueError("is too large") from None
    if not math.isfinite(value):
        raise ValueError("is too large")
    return value


def _value(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return float(number)
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
            return _UNARY[type(op)](_value(operand))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            base, other = _value(left), _value(right)
            if isinstance(op, ast.Pow) and (abs(other) > MAX_EXPONENT or (base < 0 and other != int(other))):
                raise ValueError(f"takes a power that is not real, or beyond {MAX_EXPONENT}")
            return _BINARY[type(op)](base, other)
        case _:
            raise ValueError("holds something other than numbers, + - * / ** and brackets")
