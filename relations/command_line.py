"""The parser that all commands share."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from zsre.relations.problems import did_you_mean
from zsre.relations.terminal import printable


class CommandParser(argparse.ArgumentParser):
    """Takes flags by their whole names alone, and says which one a mistyped flag may have meant."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        """Print the usage and what is wrong, without control characters, and exit with code 2."""
        super().error(printable(self.explained(message)))

    def explained(self, message: str) -> str:
        """Return a message of argparse with the flags that unknown ones come closest to."""
        unknown = message.partition("unrecognized arguments: ")[2]
        flags = (word.partition("=")[0] for word in unknown.split() if word.startswith("--"))
        hints = [hint for flag in flags if (hint := did_you_mean(flag, self._option_string_actions).strip())]
        return "; ".join([message, *hints])
