"""What relation vectors go through before they are compared, so that people may word relations as they like.

Not in the paper, which knows one wording of each relation: the model learns to meet the vectors of that one, and those
of another wording lie elsewhere. For the seen relations, it is known where each of many wordings lies, and where it
should: kernel ridge regression learns the way there. A wording that resembles known ones, in what is meant or in how
it is put, goes where those went; one that resembles none stays where it is.

Shape suffixes: R relations, N known wordings, D width, E three times D; the axis of 3 is head, tail, description.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from zsre.relations.errors import ModelError
from zsre.relations.places import looked_at
from zsre.trainer.checkpoint import save_tensors
from zsre.trainer.config import AdapterConfig
from zsre.trainer.relation_table import RelationTable

ADAPTER: Final = "adapter.safetensors"
#: Vectors that differ by less are those of the same words.
_SAME: Final = 1e-4


class RelationAdapter(nn.Module):
    """v ↦ v + Σ k(v, known)·move, each part normalised, with k = exp((s − 1) / width) and s the mean of three cosines.

    ``known_NE`` are wordings, ``moves_NE`` what each adds where it is met.
    """

    known_NE: Tensor
    moves_NE: Tensor
    width: Tensor

    def __init__(self, known_NE: Tensor, moves_NE: Tensor, width: float | Tensor) -> None:
        super().__init__()
        self.register_buffer("known_NE", known_NE.contiguous())
        self.register_buffer("moves_NE", moves_NE.contiguous())
        self.register_buffer("width", torch.as_tensor(width, dtype=torch.float32))

    def forward(self, blocks_R3D: Tensor) -> Tensor:
        """Return (R, 3, D) of normalised vectors, given normalised ones."""
        flat_RE = blocks_R3D.flatten(1)
        moved_RE = flat_RE + _kernel(flat_RE, self.known_NE, self.width) @ self.moves_NE
        return F.normalize(moved_RE.reshape(blocks_R3D.shape), dim=-1)

    @torch.inference_mode()
    def adapted(self, blocks_R3D: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (R, 3, D) of normalised blocks."""
        found: NDArray[np.float32] = self(torch.from_numpy(blocks_R3D)).numpy()
        return found


def fit_adapter(table: RelationTable, targets_R3D: Tensor, config: AdapterConfig) -> RelationAdapter:
    """Fit the moves by kernel ridge regression, from each phrasing of a relation to where the model looks for it.

    Phrasings count with all that ``table`` holds of their ends: in full, by types alone, and not at all. One that comes
    several times, as that of a source which is named several times, counts as often.
    """
    phrasings = F.normalize(table.phrasings.double().cpu(), dim=-1)
    moves = F.normalize(targets_R3D.double().cpu(), dim=-1) - phrasings
    given_VR = table.given.cpu()
    known_NE, moves_NE, counts_N = _merged(*(each[:, given_VR].flatten(0, 1).flatten(1) for each in (phrasings, moves)))
    kernel_NN = _kernel(known_NE, known_NE, torch.tensor(config.width, dtype=torch.float64))
    solved_NE = torch.linalg.solve(kernel_NN + torch.diag(config.ridge / counts_N), moves_NE)
    return RelationAdapter(known_NE.float(), solved_NE.float(), config.width)


def write_adapter(adapter: RelationAdapter, directory: Path) -> None:
    """Write it into a run directory."""
    save_tensors(directory / ADAPTER, adapter.state_dict())


def read_adapter(directory: Path) -> RelationAdapter:
    """Read what `write_adapter` wrote; raise ModelError if it is missing or damaged."""
    path = directory / ADAPTER
    try:
        with looked_at(path, ModelError):
            if not path.is_file():
                raise ModelError(f"{directory}: {ADAPTER} missing; a run is its whole folder, so copy all of it")
            return RelationAdapter(**load_file(str(path)))
    except (SafetensorError, TypeError, RuntimeError) as error:
        raise ModelError(f"{path}: damaged ({error}); copy it again, or train again") from error


def _kernel(one_RE: Tensor, other_NE: Tensor, width: Tensor) -> Tensor:
    """Return (R, N): 1 for what is worded alike, less the less alike."""
    return torch.exp((one_RE @ other_NE.T / 3 - 1) / width)


def _merged(known_NE: Tensor, moves_NE: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return each wording once, with the mean of its moves and how often it was there."""
    _, place_N, counts = torch.unique((known_NE / _SAME).round(), dim=0, return_inverse=True, return_counts=True)
    merged = known_NE.new_zeros(2, len(counts), known_NE.shape[1])
    merged.index_add_(1, place_N, torch.stack([known_NE, moves_NE]))
    known_NE, moves_NE = merged / counts[:, None]
    return known_NE, moves_NE, counts.to(known_NE.dtype)
