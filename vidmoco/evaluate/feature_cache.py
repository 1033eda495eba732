"""A cache of computed features on disk.

A file holds the features of one backbone for one set of images, and their key: hash of the weights,
network, preprocessing, precision, device type, and hash of the images' names and contents.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from vidmoco.atomic_file import atomic_write
from vidmoco.backbones.build import heads_of
from vidmoco.backbones.frozen import FrozenBackbone
from vidmoco.cache_folder import cache_folder
from vidmoco.content import hashes_of_files
from vidmoco.errors import ConfigError
from vidmoco.evaluate.features import Features, Refusal
from vidmoco.images.labelled import ImageFiles, LabelledImages
from vidmoco.images.parquet import ParquetImages
from vidmoco.images.torchvision import TorchvisionImages
from vidmoco.json_text import parse_json

FORMAT = 2


def features_key(frozen: FrozenBackbone, images: str, *, device_type: str) -> dict[str, Any]:
    """Return what the features depend on; ``images`` comes from ``hash_of_images``."""
    # No weight tells strides, paddings or heads: six heads compute other features than twelve.
    network = f"{frozen.backbone} {heads_of(frozen.backbone)} heads"
    key = {
        "format": FORMAT,
        "weights": frozen.weights_hash,
        "network": hashlib.sha256(network.encode()).hexdigest(),
        "preprocess": asdict(frozen.preprocess),
        "precision": frozen.precision,
        "device": device_type,
        "images": images,
    }
    return dict(json.loads(json.dumps(key)))  # as it comes back from a file


def cache_path(key: dict[str, Any]) -> Path:
    """Return the cache file of a key."""
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:24]
    return cache_folder() / "features" / f"{digest}.safetensors"


def load_features(key: dict[str, Any]) -> tuple[Features | None, str]:
    """Return the features of a key or None, and why an existing file cannot be used or ""."""
    path = cache_path(key)
    if not path.exists():
        return None, ""
    try:
        with safe_open(path, "pt") as file:
            about = parse_json(file.metadata()["vidmoco"])
            values, rows = file.get_tensor("values"), file.get_tensor("rows")
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        return None, f"{path} is damaged ({error}); the features are computed again."
    if about["key"] != key:
        return None, f"{path} has features of another key; the features are computed again."
    refused = [Refusal(**one) for one in about["refused"]]
    return Features(values=values, rows=rows, refused=refused), ""


def save_features(features: Features, key: dict[str, Any]) -> str:
    """Write features to the cache. Return why they cannot be written, or an empty string."""
    path = cache_path(key)
    about = {"key": key, "refused": [asdict(refusal) for refusal in features.refused]}
    try:
        with atomic_write(path, advice=", or name another folder by VIDMOCO_CACHE.") as part:
            save_file(
                {"values": features.values.contiguous(), "rows": features.rows.contiguous()},
                part,
                metadata={"vidmoco": json.dumps(about)},
            )
    except ConfigError as error:
        return f"Features are not kept: {error}"
    return ""


def hash_of_images(splits: Sequence[LabelledImages]) -> str:
    """Return a hash of the images' names and of the content of their files, wherever they are."""
    digest = hashlib.sha256()
    for split in splits:
        digest.update(f"{split.split} {len(split)} {type(split.source).__name__}\n".encode())
        source = split.source
        if isinstance(source, ImageFiles):
            contents = hashes_of_files(source.paths[row] for row in split.rows)
            lines = (f"{name} {one}" for name, one in zip(split.names, contents, strict=True))
        else:
            digest.update(_files_of(source).encode("utf-8", "backslashreplace"))
            lines = (str(row) for row in split.rows)
        for line in lines:
            digest.update(f"{line}\n".encode("utf-8", "backslashreplace"))
    return digest.hexdigest()


def hash_of_labels(splits: Sequence[LabelledImages]) -> str:
    """Return a hash of the classes and of each image's class."""
    digest = hashlib.sha256()
    for split in splits:
        digest.update(json.dumps([split.classes, split.labels.tolist()]).encode())
    return digest.hexdigest()


def _files_of(source: ParquetImages | TorchvisionImages) -> str:
    """Return names and contents of the files that hold the images."""
    if isinstance(source, ParquetImages):
        return "".join(f"{one}\n" for one in hashes_of_files(source.paths))
    files = sorted(file for file in source.folder.rglob("*") if file.is_file())
    names = (file.relative_to(source.root) for file in files)
    contents = zip(names, hashes_of_files(files), strict=True)
    return f"{source.name}\n" + "".join(f"{name} {content}\n" for name, content in contents)
