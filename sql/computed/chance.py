"""What the best match would be by chance: a head searched among heads that are mixed at random."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sql.session import Inputs

Floats = NDArray[np.float64]

_STREAM = 2
_CHUNK = 100  # draws at once: 100 x 144 x 144 cosines are 17 MB


def null_matches(inputs: Inputs) -> pa.Table:
    """The best match of every head among the rotated heads of every other model, draw by draw.

    The null: within each layer, the heads of model_b are independent draws from one normal
    distribution of any covariance. Then a random rotation of the layer's heads (not of the bins),
    which turns each into a mixture of all, has the same distribution as what was observed: each
    layer's mean, covariance along the prompt and number of heads stay, who is who goes. Rotating
    the bins would break the smoothness that makes cosines of profiles high, rotating heads across
    layers what layers have in common in every model (`docs/statistics.md` has both measured). The
    exactness of such tests: Langsrud (2005), Rotation tests, Statistics and Computing 15.

    Returns: the columns of the view `null_matches`.
    """
    profiles = _profiles(inputs)
    tables = []
    for number, (model_a, model_b) in enumerate(_pairs(inputs)):
        generator = np.random.default_rng([inputs.parameters.seed, _STREAM, number])
        heads_a, matrix_a = profiles[model_a]
        heads_b, matrix_b = profiles[model_b]
        best = best_under_rotation(
            matrix_a, matrix_b, heads_b[:, 0], inputs.parameters.n_draws, generator
        )
        draw, head = np.indices(best.shape)
        layers, indices = heads_a[head.ravel()].T
        tables.append(
            pa.table(
                {
                    "model_a": pa.array([model_a]).take(pa.array(np.zeros(best.size, int))),
                    "layer_a": layers.astype(np.int32),
                    "head_a": indices.astype(np.int32),
                    "model_b": pa.array([model_b]).take(pa.array(np.zeros(best.size, int))),
                    "draw": draw.ravel().astype(np.int32),
                    "value": best.ravel(),
                }
            )
        )
    return pa.concat_tables(tables) if tables else _NONE


def best_under_rotation(
    heads_a: Floats,
    heads_b: Floats,
    layers_b: NDArray[np.int64],
    n_draws: int,
    generator: np.random.Generator,
) -> Floats:
    """The highest cosine of each head of a with any head of b, `[draw, head of a]`.

    heads_a, heads_b: profiles `[head, bin]`; layers_b: the layer of each head of b. In each draw
    the heads of each layer less their mean are multiplied by a random rotation that leaves the
    mean where it is; a layer of one head stays as it is.
    """
    unit_a = _unit(heads_a)
    best = np.full((n_draws, len(heads_a)), -np.inf)
    for layer in np.unique(layers_b):
        heads = heads_b[layers_b == layer]
        mean = heads.mean(axis=0)
        basis = _complement_of_ones(len(heads))  # [head, head - 1]
        deviations = basis.T @ (heads - mean)  # [head - 1, bin]
        for start in range(0, n_draws, _CHUNK):
            chunk = slice(start, min(start + _CHUNK, n_draws))
            rotations = _rotations(len(heads) - 1, chunk.stop - chunk.start, generator)
            rotated = mean + basis @ (rotations @ deviations)  # [draw, head, bin]
            cosines = unit_a @ _unit(rotated).transpose(0, 2, 1)
            best[chunk] = np.maximum(best[chunk], cosines.max(axis=2))
    return best


def _rotations(n: int, n_draws: int, generator: np.random.Generator) -> Floats:
    """Uniform random rotations and reflections `[draw, n, n]`."""
    orthogonal, triangle = np.linalg.qr(generator.standard_normal((n_draws, n, n)))
    # The sign makes them uniform (Mezzadri 2007, arXiv math-ph/0609050).
    signs = np.sign(np.diagonal(triangle, axis1=1, axis2=2))
    rotations: Floats = orthogonal * signs[:, None, :]
    return rotations


def _complement_of_ones(n: int) -> Floats:
    """An orthonormal basis `[n, n - 1]` of all that sums to 0."""
    matrix = np.eye(n)
    matrix[:, 0] = 1.0
    basis: Floats = np.linalg.qr(matrix)[0][:, 1:]
    return basis


def _unit(vectors: Floats) -> Floats:
    """Vectors of length 1; one that is 0 stays, so that its cosines are 0."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: Floats = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
    return unit


def _pairs(inputs: Inputs) -> list[tuple[str, str]]:
    """The compared pairs, in an order that does not hang on how a table is scanned."""
    rows = inputs.query(
        "select pairs.model_a, pairs.model_b from pairs "
        "inner join places as a on a.model = pairs.model_a "
        "inner join places as b on b.model = pairs.model_b "
        "order by least(a.model_number, b.model_number), "
        "greatest(a.model_number, b.model_number), a.model_number"
    ).fetchall()
    return [(str(model_a), str(model_b)) for model_a, model_b in rows]


def _profiles(inputs: Inputs) -> dict[str, tuple[NDArray[np.int64], Floats]]:
    """Each model's heads `[head, (layer, head)]` and their profiles `[head, bin]`."""
    columns = inputs.query(
        "select model, layer, head, bin, value from compared_profiles "
        "order by model, layer, head, bin"
    ).fetchnumpy()
    found = {}
    for model in dict.fromkeys(columns["model"]):
        mask = columns["model"] == model
        places = np.stack([columns["layer"][mask], columns["head"][mask]], axis=1).astype(int)
        heads, index = np.unique(places, axis=0, return_inverse=True)
        matrix = np.zeros((len(heads), inputs.parameters.bins))
        # Rounded, so that the draws do not hang on the order in which an engine summed.
        matrix[index.ravel(), columns["bin"][mask].astype(int)] = columns["value"][mask].round(12)
        found[str(model)] = (heads, matrix)
    return found


_NONE = pa.table(
    {
        "model_a": pa.array([], pa.string()),
        "layer_a": pa.array([], pa.int32()),
        "head_a": pa.array([], pa.int32()),
        "model_b": pa.array([], pa.string()),
        "draw": pa.array([], pa.int32()),
        "value": pa.array([], pa.float64()),
    }
)
