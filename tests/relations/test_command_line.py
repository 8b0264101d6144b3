from __future__ import annotations

import pytest

from zsre.relations.command_line import CommandParser


@pytest.fixture
def parser() -> CommandParser:
    made = CommandParser(prog="zsre-made-up")
    made.add_argument("--threshold", type=float)
    made.add_argument("--max-relations")
    return made


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--treshold", "0.2"], "unrecognized arguments: --treshold 0.2; did you mean '--threshold'?"),
        (["--treshold=0.2"], "unrecognized arguments: --treshold=0.2; did you mean '--threshold'?"),
        (["--max_relation", "--zzz"], "unrecognized arguments: --max_relation --zzz; did you mean '--max-relations'?"),
        (["--zzz"], "unrecognized arguments: --zzz"),
        (["stray", "\x1b[31m"], "unrecognized arguments: stray  [31m"),
        (["--threshold", "much"], "argument --threshold: invalid float value: 'much'"),
    ],
)
def test_a_mistyped_flag_is_told_with_the_one_that_was_meant(
    given: list[str], message: str, parser: CommandParser, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(given)
    assert ended.value.code == 2
    *usage, line = capsys.readouterr().err.splitlines()
    assert usage[0].startswith("usage: zsre-made-up ") and line == f"zsre-made-up: error: {message}"


def test_a_flag_has_one_name(parser: CommandParser) -> None:
    with pytest.raises(SystemExit):
        parser.parse_args(["--thresh", "0.2"])
