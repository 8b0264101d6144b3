"""What fields of the configuration may hold, and in plain words what a wrong value should have been.

The dataclasses that use these are checked by pydantic on reading; its own words are for programmers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from zsre.relations.problems import shorten
from zsre.relations.readers import FORMATS

#: For ``__pydantic_config__``: a field that a dataclass does not have is an error, not ignored, and so is a number that
#: is none (.inf, .nan).
STRICT: Final = ConfigDict(extra="forbid", allow_inf_nan=False)

#: What pydantic says of a wrong value: ``type``, ``loc``, ``input``, and the bounds in ``ctx``.
Problem = Mapping[str, Any]
UNKNOWN_FIELD: Final = frozenset({"unexpected_keyword_argument", "extra_forbidden"})

#: By pydantic's name for a problem; the braces take its bounds.
_EXPECTED: Final[Mapping[str, str]] = {
    "missing": "missing",
    "invalid_key": "expected text for the name of a field",
    "dataclass_type": "expected a mapping of fields to values",
    "tuple_type": "expected a list",
    "too_long": "expected a list of at most {max_length}",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_parsing_size": "expected a whole number",
    "int_from_float": "expected a whole number",
    "finite_number": "expected a finite number",
    "float_type": "expected a number",
    "float_parsing": "expected a number",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "string_type": "expected text, in quotes if need be",
    "string_unicode": "expected text in UTF-8",
    "literal_error": "expected {expected}",
    "value_error": "expected {error}",
    "greater_than": "expected more than {gt:g}",
    "greater_than_equal": "expected at least {ge:g}",
    "less_than": "expected less than {lt:g}",
    "less_than_equal": "expected at most {le:g}",
}


def _known_format(name: str) -> str:
    if name not in FORMATS:
        *names, last = map(repr, FORMATS)
        raise ValueError(f"{', '.join(names)} or {last}")
    return name


def _no_truth(expected: str) -> Callable[[object], object]:
    """Return what refuses true and false, which Python takes for the numbers 1 and 0."""

    def check(value: object) -> object:
        if isinstance(value, bool):
            raise ValueError(expected)
        return value

    return check


def _not_empty(values: tuple[object, ...]) -> tuple[object, ...]:
    if not values:
        raise ValueError("a list of at least one")
    return values


Whole = Annotated[int, BeforeValidator(_no_truth("a whole number"))]
Number = Annotated[float, BeforeValidator(_no_truth("a number"))]
Positive = Annotated[Whole, Field(gt=0)]
PositiveFloat = Annotated[Number, Field(gt=0)]
Count = Annotated[Whole, Field(ge=0)]
#: What all of the generators take that a seed goes to.
Seed = Annotated[Whole, Field(ge=0, lt=2**63)]
NonNegative = Annotated[Number, Field(ge=0)]
Share = Annotated[Number, Field(ge=0, le=1)]
#: For lists. A length that is asked for would be told as wrong wherever an item is, too.
NOT_EMPTY: Final = AfterValidator(_not_empty)
FormatName = Annotated[str, AfterValidator(_known_format)]


def expectation(problem: Problem) -> str:
    """Return what a wrong value should have been, and what was found in its place."""
    expected = _EXPECTED.get(problem["type"], "cannot be used").format_map(problem.get("ctx", {}))
    return expected if problem["type"] == "missing" else f"{expected} (found {found(problem['input'])})"


def found(value: object) -> str:
    """Return a value as a message shows it: cut where it is long, and what YAML calls null by its looks."""
    return "nothing" if value is None else shorten(value)
