"""The errors that zsre raises for people to read.

The library raises, and only a command's ``main`` turns one into a line on stderr and an exit code. Every
message names the thing, the value, the place, and what to do.
"""

from __future__ import annotations


class ZsreError(Exception):
    """Base of every error that a person can mend; ``exit_code`` is what a command returns for it."""

    exit_code = 2


class UsageError(ZsreError):
    """A flag, or a combination of flags, that cannot be meant."""


class RelationsFileError(ZsreError):
    """A relations file that cannot be used as it is."""


class DataError(ZsreError):
    """Labelled data or a corpus that cannot be read as what it should be."""


class ModelError(ZsreError):
    """A model file or run directory that is missing, damaged, foreign or of another version."""


class ConfigError(ZsreError):
    """A training configuration with a field that is unknown or out of range."""


class MissingExtraError(ZsreError):
    """An optional dependency that is not installed; the message carries the install command."""


class NothingExtractedError(ZsreError):
    """Every record of a corpus was rejected, which nearly always is a wrong flag."""

    exit_code = 3


class TooManyRejectsError(ZsreError):
    """A run that finished, but rejected more of its lines than was allowed."""

    exit_code = 6


class OutputError(ZsreError):
    """A write that failed or an output directory that must not be touched."""

    exit_code = 4


class WorkerError(ZsreError):
    """A process that did part of the work ended before it was done."""

    exit_code = 5
