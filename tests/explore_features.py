"""Feature files that the tests of ``explore`` write themselves, without a backbone."""

from pathlib import Path

import numpy as np

from vidmoco.features.feature_file import feature_writer
from vidmoco.features.feature_set import FeatureSet, open_features

PREPROCESS = {"size": 32, "crop_pct": 0.875, "interpolation": "bilinear", "crop_mode": "center"}


def write_features(
    path: Path,
    features: np.ndarray,
    times: np.ndarray | None = None,
    *,
    source: Path,
    about: dict[str, object] | None = None,
) -> Path:
    """Write a feature file as ``vidmoco extract`` does; frames are a second apart by default."""
    times = np.arange(len(features), dtype=np.float64) if times is None else np.asarray(times)
    sidecar = {
        "source": str(source),
        "backbone": "runs/none",
        "architecture": "resnet18",
        "weights_hash": "0123456789abcdef",
        "preprocess": PREPROCESS,
        "precision": "fp32",
    }
    if source.is_file():
        status = source.stat()
        sidecar |= {"source_bytes": status.st_size, "source_mtime_ns": status.st_mtime_ns}
    with feature_writer(path, dim=features.shape[1], dtype=str(features.dtype)) as writer:
        writer.append(features, times)
        writer.finish(sidecar | (about or {}))
    return path


def feature_set(folder: Path, *videos: np.ndarray) -> FeatureSet:
    """Return the features of some videos that are not there, ``a.mp4``, ``b.mp4`` and so on."""
    for n, features in enumerate(videos):
        name = f"{chr(ord('a') + n)}.mp4"
        write_features(folder / f"{name}.npy", features, source=Path("/gone") / name)
    return open_features(folder)


def random_features(rows: int, dim: int = 6, *, seed: int = 0) -> np.ndarray:
    """Return float32 (rows, dim), each row of another length."""
    return np.random.default_rng(seed).standard_normal((rows, dim)).astype(np.float32)


def unit(features: np.ndarray) -> np.ndarray:
    """Return features divided by their lengths, a row at a time."""
    return np.stack([row / np.sqrt((row.astype(float) ** 2).sum()) for row in features])


def smooth(rows: int, *, start: float = 0.0, step: float = 0.1, dim: int = 6) -> np.ndarray:
    """Return float32 (rows, dim) that turn slowly in a plane, ``step`` radians a row."""
    angles = start + step * np.arange(rows)
    features = np.zeros((rows, dim), dtype=np.float32)
    features[:, 0], features[:, 1] = np.cos(angles), np.sin(angles)
    return features
