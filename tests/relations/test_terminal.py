from __future__ import annotations

import logging

from zsre.relations.terminal import PlainFormatter, printable, printable_lines

HOSTILE = "a\tb\nc\x1b[2Jé\x9b\x7f\u202e\u2028"


def test_what_moves_the_cursor_is_not_printed() -> None:
    assert printable(HOSTILE) == "a b c [2Jé    "
    assert printable_lines(HOSTILE) == "a b\nc [2Jé    "


def test_nor_is_it_logged() -> None:
    record = logging.LogRecord("zsre", logging.WARNING, "", 0, "left out: %s", (HOSTILE,), None)
    assert PlainFormatter("zsre: %(message)s").format(record) == "zsre: left out: a b\nc [2Jé    "
