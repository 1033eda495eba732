"""Lay out frames in the plane: PCA or t-SNE, and a grid on which pictures do not overlap.

PCA keeps directions of the feature space but crowds the middle. t-SNE (van der Maaten and Hinton
2008) keeps neighbours together, but its distances between groups mean nothing.
"""

from typing import Literal

import numpy as np

from vidmoco.errors import ConfigError
from vidmoco.shapes import Float32, Float64, Int64

_PERPLEXITY = 30.0  # scikit-learn's default, within the 5 to 50 of the t-SNE paper
_ROUNDING = 1e-6  # relative; smaller differences are rounding errors of float32
_LEAST_FOR_TSNE = 8  # assumption: fewer frames have no neighbourhoods to keep


def principal_components(
    features: Float32[np.ndarray, "n d"], num: int
) -> tuple[Float32[np.ndarray, " d"], Float32[np.ndarray, "{num} d"]]:
    """Return the mean and the first principal axes of features; missing axes are zeros.

    The largest component of each axis is positive, so colours and positions are the same on every
    machine.
    """
    mean = features.mean(axis=0, dtype=np.float64).astype(np.float32)
    centred = (features - mean).astype(np.float64)
    _, vectors = np.linalg.eigh(centred.T @ centred)  # eigenvalues ascend
    axes = vectors[:, ::-1][:, :num].T
    largest = np.abs(axes).argmax(axis=1)
    axes = axes * np.sign(axes[np.arange(len(axes)), largest])[:, None]
    padded = np.zeros((num, features.shape[1]))
    padded[: len(axes)] = axes
    return mean, padded.astype(np.float32)


def layout_2d(
    features: Float32[np.ndarray, "n d"], *, kind: Literal["pca", "tsne"], seed: int = 0
) -> Float64[np.ndarray, "n 2"]:
    """Return a position for each frame, a function of features and seed.

    Args:
        features: of unit length.
        kind: ``pca`` takes the first two principal components, ``tsne`` runs t-SNE on the first 50.
            Fewer than 8 frames always use PCA.
        seed: of t-SNE.

    Raises:
        ConfigError: ``tsne`` needs scikit-learn, which is not installed.
    """
    if kind == "tsne":
        require_tsne()
    mean, axes = principal_components(features, 50 if kind == "tsne" else 2)
    coordinates = ((features - mean) @ axes.T).astype(np.float64)
    if kind == "pca" or len(features) < _LEAST_FOR_TSNE:
        return np.asarray(coordinates[:, :2])
    from sklearn.manifold import TSNE

    # scikit-learn's own initialisation from PCA divides by zero if all features are equal.
    spread = max(float(coordinates[:, 0].std()), 1e-12)
    jitter = np.random.default_rng(seed).standard_normal((len(features), 2))
    start = 1e-4 * (coordinates[:, :2] / spread + 1e-3 * jitter)
    tsne = TSNE(
        init=start.astype(np.float32),
        perplexity=min(_PERPLEXITY, (len(features) - 1) / 3),
        learning_rate="auto",
        random_state=seed,
    )
    return np.asarray(tsne.fit_transform(coordinates), dtype=np.float64)


def require_tsne() -> None:
    """Raise ``ConfigError`` if scikit-learn is missing. Call this before long work."""
    try:
        import sklearn.manifold  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "t-SNE needs scikit-learn, which is not installed: pip install 'vidmoco[eval]', or "
            "give --layout pca."
        ) from error


def in_unit_square(points: Float64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "n 2"]:
    """Stretch points over [0, 1] x [0, 1] and turn y, which then grows downwards."""
    low, span = points.min(axis=0), np.ptp(points, axis=0)
    is_flat = span <= _ROUNDING * span.max()
    shares = np.where(is_flat, 0.5, (points - low) / np.where(is_flat, 1.0, span))
    return np.stack([shares[:, 0], 1 - shares[:, 1]], axis=1)


def snap_to_grid(
    points: Float64[np.ndarray, "n 2"], *, columns: int, rows: int
) -> tuple[Int64[np.ndarray, " m"], Int64[np.ndarray, "m 2"]]:
    """Return the points that get a grid cell, and their cells (column, row from the top).

    A cell has at most one point. Points nearest to the middle of their own cell come first; the
    others take the nearest free cell among the eight around theirs, or none.

    Args:
        points: the grid is stretched over them; y grows upwards.
        columns: 1 or more.
        rows: 1 or more.
    """
    positions = in_unit_square(points) * [columns, rows]  # in cells
    own = np.minimum(positions.astype(np.int64), [columns - 1, rows - 1])
    order = np.argsort(((positions - own - 0.5) ** 2).sum(axis=1), kind="stable")
    taken: dict[tuple[int, int], int] = {}
    steps = [(x, y) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    for only_own in (True, False):
        for n in order.tolist():
            if not only_own and taken.get(tuple(own[n].tolist())) == n:
                continue
            around = [(own[n, 0], own[n, 1])] if only_own else own[n] + steps
            free = [
                (float(((positions[n] - (x, y) - 0.5) ** 2).sum()), int(x), int(y))
                for x, y in around
                if 0 <= x < columns and 0 <= y < rows and (int(x), int(y)) not in taken
            ]
            if free:
                _, x, y = min(free)
                taken[x, y] = n
    which = np.array(list(taken.values()), dtype=np.int64)
    cells = np.array(list(taken), dtype=np.int64).reshape(-1, 2)
    return which, cells
