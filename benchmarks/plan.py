"""What a benchmark is: parties that take turns, the figure that they are judged by, and what is to be reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

Options = Mapping[str, Any]
FP32: Final = "fp32"
#: What a GPU's rows are measured with: a model that was exported for one.
CUDA_FP16: Final = "cuda-fp16"


@dataclass(frozen=True)
class Worker:
    """A party that loads once, in a process of its own, and works whenever it is its turn.

    ``options`` are its job: ``items`` records of ``corpus``, or as many drawn evenly by length from the first ``of``;
    repeated until ``seconds`` have passed. ``zsre`` tells whose environment it runs in.
    """

    title: str
    module: str
    options: Options
    zsre: bool = True


@dataclass(frozen=True)
class Command:
    """A whole command of zsre, loading included; ``before`` is run once, ahead of all turns.

    Arguments may hold ``{data}``, the folder of the corpora, ``{kept}``, a folder for what stays between commands, and
    ``{out}``, a new one each time. ``limit`` is how many documents of the corpus are read, if not all. ``until_part``
    stops the clock when the first part of the output is there.
    """

    title: str
    arguments: tuple[str, ...]
    before: tuple[str, ...] = ()
    limit: int | None = None
    until_part: bool = False


Party = Worker | Command


@dataclass(frozen=True)
class Target:
    """What the median is to reach: at ``least``, or at ``most``."""

    least: float | None = None
    most: float | None = None

    def met(self, value: float) -> bool:
        """Tell whether a value reaches the target."""
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


@dataclass(frozen=True)
class Figure:
    """What a turn is judged by: the count ``name`` a second of ``clock``, or just ``name`` if there is no clock."""

    name: str
    unit: str
    clock: str | None = "seconds"
    #: The two clocks need not be the same: a part of the work may be compared with a whole.
    baseline_clock: str | None = "seconds"
    #: The best of several parties is then the one with the least.
    less_is_better: bool = False


@dataclass(frozen=True)
class Row:
    """A comparison: what the subject makes divided by what the baseline makes, turn by turn.

    Of several subjects or baselines the best counts. A row without a baseline is the subject's own figure. ``targets``
    go by variant of the model; a variant that is not named has the target under ``best``, if there is one. ``same``
    names a count of which all parties must make the same in a pass, or they haven't done the same work. With ``gpu``,
    it needs one, is measured only when it is asked for, and uses all processors.
    """

    name: str
    against: str
    inside: str
    figure: Figure
    subjects: tuple[Party, ...]
    baselines: tuple[Party, ...] = ()
    targets: Mapping[str, Target] = field(default_factory=dict)
    rounds: int = 5
    inverse: bool = False
    predicted: bool = False
    same: str | None = None
    gpu: bool = False

    @property
    def usual_variant(self) -> str:
        """Return the variant of the model that it is measured with."""
        return CUDA_FP16 if self.gpu else FP32

    def target(self, variant: str) -> Target | None:
        """Return what a variant of the model is to reach."""
        return self.targets.get(variant, self.targets.get("best"))

    @property
    def parties(self) -> tuple[Party, ...]:
        """Return all parties."""
        return (*self.subjects, *self.baselines)
