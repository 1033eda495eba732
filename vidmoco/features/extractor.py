"""A frozen backbone and all that decides its features; batches of images to features."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from vidmoco.backbones.build import architecture_of, load_backbone, weights_hash
from vidmoco.backbones.preprocess import CropMode, Preprocess, feature_dim, normalize, preprocess_of
from vidmoco.device import autocast, resolve_device, to_device_ahead
from vidmoco.errors import ConfigError
from vidmoco.features.batch_reader import FrameBatch
from vidmoco.run_folder import LATEST
from vidmoco.shapes import Float32, Float64, UInt8

DEFAULT_BACKBONE = "resnet50"
CPU_BATCH_SIZE = 64  # assumption: enough for the cores; more costs memory only
MAX_BATCH_SIZE = 1024  # assumption: no GPU is faster with more


@dataclass(frozen=True, kw_only=True)
class Extractor:
    """A frozen backbone, with all that decides its features."""

    backbone: nn.Module
    preprocess: Preprocess
    dim: int
    device: torch.device
    precision: Literal["bf16", "fp32"]
    provenance: dict[str, Any]


def build_extractor(
    source: str,
    *,
    size: int | None = None,
    crop_mode: CropMode | None = None,
    device: str = "auto",
    precision: Literal["bf16", "fp32"] = "fp32",
) -> Extractor:
    """Load the backbone ``source`` (``load_backbone``) onto a device for extraction."""
    where = resolve_device(device)
    backbone = load_backbone(source)
    preprocess = preprocess_of(backbone, size=size, crop_mode=crop_mode)
    dim = feature_dim(backbone, preprocess, name=source)
    provenance = {
        "backbone": source,
        "architecture": architecture_of(source),
        "weights_hash": weights_hash(backbone),
        "preprocess": asdict(preprocess)
        | {"mean": list(preprocess.mean), "std": list(preprocess.std)},
        "precision": precision,
    }
    backbone = backbone.to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Extractor(
        backbone=backbone,
        preprocess=preprocess,
        dim=dim,
        device=where,
        precision=precision,
        provenance=provenance,
    )


def default_backbone() -> str:
    """Return the newest run of this folder, or timm's pretrained ResNet-50 where there is none."""
    return str(LATEST) if (LATEST / "backbone").is_dir() else DEFAULT_BACKBONE


def find_batch_size(extractor: Extractor, *, largest: int = MAX_BATCH_SIZE) -> int:
    """Return the largest power of two of images that fit in one pass, by trying black ones.

    A quarter more than that is tried: room for the images of the next batch, which are copied
    meanwhile, and for gaps between blocks of memory.

    Args:
        extractor: on the device that is to be tried.
        largest: a power of two, the first size that is tried.

    Raises:
        ConfigError: not even one image fits.
    """
    size = extractor.preprocess.size
    batch_size = largest
    while batch_size >= 1:
        try:
            images = torch.zeros(batch_size + batch_size // 4, 3, size, size, dtype=torch.uint8)
            _start(extractor, images).result()
            return batch_size
        except torch.OutOfMemoryError:
            batch_size //= 2
        if extractor.device.type == "cuda":
            torch.cuda.empty_cache()  # what the larger trial held is no use to a smaller one
    raise ConfigError(
        f"Not even one image of {size} x {size} pixels fits into the memory of {extractor.device} "
        "beside the backbone. Give a smaller --size, --device cpu, or free the device."
    )


def features_of(
    extractor: Extractor, batches: Iterable[FrameBatch]
) -> Iterator[tuple[Float64[np.ndarray, " t"], Float32[np.ndarray, "t d"]]]:
    """Yield the times and features of batches, in order.

    On CUDA the next batch is copied and waits for the backbone before the last one's features are
    waited for, so that the device never waits for the host.
    """
    before: tuple[np.ndarray, _Running] | None = None
    for batch in batches:
        running = _start(extractor, batch.images)
        if before is not None:
            yield before[0], before[1].result()
        before = batch.times, running
    if before is not None:
        yield before[0], before[1].result()


@dataclass(frozen=True)
class _Running:
    """Features on their way to the CPU."""

    features: Tensor
    arrived: torch.cuda.Event | None

    def result(self) -> Float32[np.ndarray, "t d"]:
        if self.arrived is not None:
            self.arrived.synchronize()
        return self.features.numpy()


@torch.inference_mode()
def _start(extractor: Extractor, images: UInt8[Tensor, "t 3 s s"]) -> _Running:
    """Begin with a batch; ``images`` may be written over as soon as this returns."""
    device = extractor.device
    if device.type != "cuda":
        return _Running(_forward(extractor, images.to(device)), None)
    features = _forward(extractor, to_device_ahead(images, device)).to("cpu", non_blocking=True)
    return _Running(features, torch.cuda.current_stream(device).record_event())


def _forward(extractor: Extractor, images: Tensor) -> Tensor:
    inputs = normalize(images, extractor.preprocess).contiguous(memory_format=torch.channels_last)
    with autocast(extractor.device, extractor.precision):
        features: Tensor = extractor.backbone(inputs)
    return features.float()
