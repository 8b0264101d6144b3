from __future__ import annotations

import numpy as np
import pytest

from zsre.runner.half_precision import all_finite, to_single

EVERY = np.arange(2**16, dtype=np.uint16).view(np.float16).reshape(-1, 64)
FINITE = np.isfinite(EVERY)


def test_every_finite_number_stays_the_same() -> None:
    singles = to_single(EVERY)
    assert singles.dtype == np.float32
    np.testing.assert_array_equal(singles[FINITE], EVERY.astype(np.float32)[FINITE])
    np.testing.assert_array_equal(np.signbit(singles[FINITE]), np.signbit(EVERY[FINITE]))


def test_rows_that_lie_apart_are_read_where_they_lie() -> None:
    chosen = EVERY[1:300:7, 3:]
    np.testing.assert_array_equal(to_single(chosen), chosen.astype(np.float32))


@pytest.mark.parametrize("number", EVERY[~FINITE][[0, 1, -1]].tolist() + [np.inf, -np.inf, np.nan])
def test_what_is_infinite_or_no_number_is_found_among_others(number: float) -> None:
    numbers = EVERY[FINITE].copy()
    assert all_finite(numbers)
    numbers[len(numbers) // 2] = number
    assert not all_finite(numbers)


def test_nothing_is_finite() -> None:
    assert all_finite(np.zeros((0, 4), dtype=np.float16))
    assert to_single(np.zeros((0, 4), dtype=np.float16)).shape == (0, 4)
