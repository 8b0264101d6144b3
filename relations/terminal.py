"""Text that others wrote, made fit to be printed: names and messages must not write to someone's terminal."""

from __future__ import annotations

import logging


def printable(text: str) -> str:
    """Replace what would move the cursor, change colours or turn the direction of writing, line ends too, by spaces."""
    return "".join(character if character.isprintable() else " " for character in text)


def printable_lines(text: str) -> str:
    """Do as `printable` does, but keep lines apart, as the messages of commands may have several."""
    return "\n".join(printable(line) for line in text.split("\n"))


class PlainFormatter(logging.Formatter):
    """Lines for people, without control characters."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record's line, and its traceback's, if it has one."""
        return printable_lines(super().format(record))
