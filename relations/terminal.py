"""What is printed: what others wrote must not steer a terminal, and a reader that has gone is no error."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from zsre.relations.errors import OutputError


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


def write_out(text: str) -> bool:
    """Write to standard output, such as what a console captured; what its encoding lacks becomes a question mark.

    Return whether somebody took it. That is known once: what is written after a reader has gone goes nowhere.

    A reader that has seen enough, such as ``head``, may close the pipe. On that, rich itself would end the program with
    an exit code of failure.
    """
    encoding = sys.stdout.encoding or "utf-8"
    with writing_out():
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
        sys.stdout.flush()
        return True
    return False


@contextmanager
def writing_out() -> Iterator[None]:
    """Let a reader that has gone be; raise OutputError if standard output can't be written to."""
    try:
        yield
    except OSError as error:
        # Python flushes standard output once more on its way out, and would complain then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            raise OutputError(f"standard output: cannot be written to: {error.strerror}; send it elsewhere") from error
