"""What relation vectors go through before they are compared, so that people may word relations as they like.

Not in the paper, which knows one wording of each relation: the model learns to meet the vectors of that one, and those
of another wording lie elsewhere. What tells wordings apart, a question from a definition, "X was born in Y" from
"place of birth", is much the same for every relation, so a linear map takes it out, also for relations never seen.

Shape suffixes: N texts, D width, E three times D; the axis of 3 is head, tail, description.
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
from zsre.trainer.checkpoint import save_tensors
from zsre.trainer.relation_table import RelationTable

ADAPTER: Final = "adapter.safetensors"
_MAPS: Final = "maps"


class RelationAdapter(nn.Module):
    """v ↦ v + v·W, normalised, with a W for texts of heads, of tails, and of descriptions."""

    maps_DE: Tensor

    def __init__(self, maps_3DD: Tensor) -> None:
        super().__init__()
        self.register_buffer("maps_DE", torch.cat(tuple(maps_3DD), dim=1).contiguous())

    def forward(self, vectors_ND: Tensor, parts_N: Tensor) -> Tensor:
        """Return (N, D) of normalised vectors; ``parts_N`` is 0 for the text of a head, 1 of a tail, 2 of neither."""
        added_N3D = (vectors_ND @ self.maps_DE).reshape(-1, 3, vectors_ND.shape[1])
        own_N1D = added_N3D.gather(1, parts_N[:, None, None].expand(-1, 1, vectors_ND.shape[1]))
        return F.normalize(vectors_ND + own_N1D[:, 0], dim=-1)

    @torch.inference_mode()
    def adapted(self, blocks_R3D: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (R, 3, D) of normalised blocks."""
        relations, parts, width = blocks_R3D.shape
        vectors = torch.from_numpy(blocks_R3D.reshape(-1, width))
        found: NDArray[np.float32] = self(vectors, torch.arange(parts).repeat(relations)).numpy()
        return found.reshape(blocks_R3D.shape)


def fit_adapter(table: RelationTable, ridge: float) -> RelationAdapter:
    """Fit the maps by ridge regression, from each phrasing of a relation, with and without its ends, to their mean.

    The penalty on W is ``ridge`` for each phrasing. The smaller it is, the closer the seen relations' phrasings come to
    their mean; the larger, the closer everything stays to where it was.
    """
    given = F.normalize(table.phrasings.double().cpu(), dim=-1)
    wanted = F.normalize(table.mean().double().cpu(), dim=-1).expand_as(given)
    maps = []
    for part in range(given.shape[-2]):
        x_ND, y_ND = (each[..., part, :].flatten(0, -2) for each in (given, wanted))
        penalty_DD = ridge * len(x_ND) * torch.eye(x_ND.shape[1], dtype=x_ND.dtype)
        maps.append(torch.linalg.solve(x_ND.T @ x_ND + penalty_DD, x_ND.T @ (y_ND - x_ND)))
    return RelationAdapter(torch.stack(maps).float())


def write_adapter(adapter: RelationAdapter, directory: Path) -> None:
    """Write the maps into a run directory."""
    save_tensors(directory / ADAPTER, {_MAPS: adapter.maps_DE})


def read_adapter(directory: Path) -> RelationAdapter:
    """Read what `write_adapter` wrote; raise ModelError if it is missing or damaged."""
    path = directory / ADAPTER
    if not path.is_file():
        raise ModelError(f"{directory}: {ADAPTER} missing; a run is its whole folder, so copy all of it")
    try:
        maps_DE = load_file(str(path))[_MAPS]
        return RelationAdapter(torch.stack(maps_DE.chunk(3, dim=1)))
    except (SafetensorError, KeyError, RuntimeError) as error:
        raise ModelError(f"{path}: damaged ({error}); copy it again, or train again") from error
