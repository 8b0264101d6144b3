"""A model's graph, ready to run: what it takes and gives, bound to the device, and checked."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from zsre.relations.errors import ModelError
from zsre.runner.session import CUDA_PROVIDER, first_line

#: Arrays by the names of a graph's inputs.
Feeds = Mapping[str, NDArray[np.int64] | NDArray[np.float32]]


class Graph:
    """A session whose inputs and outputs are bound to the memory of the device that it runs on.

    On a CPU nothing is copied; a GPU gets each input once, whichever of its nodes read it, and keeps the outputs until
    all are there. ``path`` is only for messages.
    """

    def __init__(self, session: ort.InferenceSession, path: str) -> None:
        self._session = session
        self.path = path
        self.device = "CUDA" if CUDA_PROVIDER in session.get_providers() else "CPU"

    @property
    def inputs(self) -> frozenset[str]:
        """Return the names of what it takes."""
        return frozenset(each.name for each in self._session.get_inputs())

    def check(
        self, inputs: Collection[str], outputs: Collection[str], optional: Collection[tuple[str, str]] = ()
    ) -> None:
        """Raise ModelError unless it takes these inputs and no others, and gives these outputs.

        ``optional`` are inputs that it may take if it gives the output that comes of each.
        """
        given = {each.name for each in self._session.get_outputs()}
        known = {taken for taken, made in optional if made in given}
        if self.inputs.difference(known) != set(inputs) or not given.issuperset(outputs):
            taken = ", ".join(sorted(self.inputs)) or "nothing"
            raise ModelError(
                f"{self.path}: takes {taken} and gives {', '.join(sorted(given))}, and should take "
                f"{', '.join(sorted(inputs))} and give {', '.join(sorted(outputs))}; export the model again"
            )

    def run(self, feeds: Feeds, shapes: Mapping[str, tuple[int, ...]]) -> list[NDArray[np.float32]]:
        """Run it once; return the outputs that ``shapes`` names, in the memory of the CPU.

        They are of these shapes, and all finite; raises ModelError for anything else that the model does.
        """
        try:
            found = self._bound(feeds, list(shapes))
        except Exception as error:  # ONNX Runtime raises classes of its own that share no base
            raise ModelError(f"{self.path}: the model failed: {first_line(error)}") from error
        for output, (name, shape) in zip(found, shapes.items(), strict=True):
            if not isinstance(output, np.ndarray) or output.dtype != np.float32 or output.shape != shape:
                kind = f"{output.dtype} {output.shape}" if isinstance(output, np.ndarray) else type(output).__name__
                raise ModelError(f"{self.path}: its output {name} is {kind}, not float32 {shape}; export it again")
            if not np.isfinite(output).all():
                raise ModelError(f"{self.path}: its output {name} holds what is no number; export the model again")
        return found

    def _bound(self, feeds: Mapping[str, NDArray[np.int64] | NDArray[np.float32]], outputs: Sequence[str]) -> list[Any]:
        where = self.device.lower()
        options = ort.RunOptions()
        # What goes wrong is in the exception; the log would also write names from the file to the terminal as they are.
        options.log_severity_level = 4
        binding = self._session.io_binding()
        for name, array in feeds.items():
            binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array), where))
        for name in outputs:
            binding.bind_output(name, where)
        self._session.run_with_iobinding(binding, options)
        return list(binding.copy_outputs_to_cpu())
