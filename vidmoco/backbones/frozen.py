"""A frozen backbone: loaded from wherever it is named, with all that decides its features."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from vidmoco.backbones.build import architecture_of, load_backbone, weights_hash
from vidmoco.backbones.preprocess import CropMode, Preprocess, feature_dim, normalize, preprocess_of
from vidmoco.backbones.source import is_random, require_source
from vidmoco.backbones.tokens import FeatureKind, Tokens
from vidmoco.config.plain import checked
from vidmoco.device import (
    autocast,
    float32_by_default,
    resolve_device,
    to_device_ahead,
    use_channels_last,
)
from vidmoco.distributed import own_gpu
from vidmoco.errors import ConfigError
from vidmoco.shapes import Float32, UInt8


@dataclass(frozen=True, kw_only=True)
class FrozenBackbone:
    """A backbone in evaluation mode whose weights do not change."""

    name: str
    """What tables and errors call it."""
    source: str
    """As the user gave it: a folder, a timm name or ``random:NAME``."""
    architecture: str
    backbone: nn.Module = field(repr=False)
    """Maps normalised (N, 3, S, S) images to (N, D) features, or to (N, P, D) patch tokens."""
    preprocess: Preprocess
    dim: int
    """D, the length of a feature."""
    weights_hash: str
    precision: Literal["bf16", "fp32"] = "fp32"
    """Arithmetic of the backbone; features are float32."""
    feature: FeatureKind = "pooled"
    num_patches: int = 0
    """P of the (P, D) patch tokens of an image, or 0 if its feature is one vector."""

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one image's feature: (D,), or (P, D) of patch tokens."""
        return (self.num_patches, self.dim) if self.num_patches else (self.dim,)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        tensors = chain(self.backbone.parameters(), self.backbone.buffers())
        return next((tensor.device for tensor in tensors), torch.device("cpu"))

    @property
    def is_untrained(self) -> bool:
        """Whether the weights are random."""
        return is_random(self.source)

    @property
    def provenance(self) -> dict[str, Any]:
        """What decides a feature, as sidecars and results keep it."""
        return {
            "backbone": self.source,
            "architecture": self.architecture,
            "weights_hash": self.weights_hash,
            "preprocess": self.preprocess.as_json(),
            "precision": self.precision,
            **({} if self.feature == "pooled" else {"feature": self.feature}),
        }

    def move_to(self, device: torch.device) -> None:
        """Move the weights to a device, in the memory format that is fast there.

        Measured on a CPU: ResNet-18 is 1.2 to 1.8 times as fast in channels_last.
        """
        use_channels_last(self.backbone.to(device))

    @torch.inference_mode()
    def features(self, images: Tensor) -> Float32[Tensor, "n *d"]:
        """Return the features of images that ``resize_and_crop`` made, on the device of both.

        Args:
            images: uint8 (N, 3, S, S), where S is ``preprocess.size``. They are normalised here.

        Raises:
            ConfigError: The images are not uint8, or have another shape.
        """
        side = self.preprocess.size
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1:] != (3, side, side):
            dtype = str(images.dtype).removeprefix("torch.")
            raise ConfigError(
                f"The images are {dtype} {tuple(images.shape)}; features() takes uint8 (N, 3, "
                f"{side}, {side}), and normalises them. Use vidmoco.embed(array) for frames of any "
                "size, uint8 (T, H, W, 3), or frozen.backbone for floats that are normalised."
            )
        inputs = normalize(images, self.preprocess).contiguous(memory_format=torch.channels_last)
        with autocast(images.device, self.precision):
            features: Tensor = self.backbone(inputs)
        return features.float()


@float32_by_default()
def load_frozen(
    source: str | os.PathLike[str],
    *,
    size: int | None = None,
    crop_mode: CropMode | None = None,
    precision: Literal["bf16", "fp32"] = "fp32",
    seed: int = 0,
    feature: FeatureKind = "pooled",
    device: str | torch.device = "cpu",
) -> FrozenBackbone:
    """Load a backbone, onto the CPU if ``device`` names nothing else.

    Args:
        source: As ``parse_source`` takes it. ``random:`` keeps architecture and preprocessing.
        size: Input size in pixels. None means the backbone's own.
        crop_mode: None means the backbone's own.
        precision: Arithmetic of the backbone.
        seed: Decides random weights, which depend on nothing else.
        feature: The pooled output, or tokens.
        device: ``auto`` (CUDA where the machine has it), ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        ConfigError: There is no such backbone or device, it cannot take the size, or a setting is
            wrong.
        CheckpointError: Its weights cannot be loaded.
    """
    require_source(source)
    source = os.fspath(source)
    given = checked(
        load_frozen, size=size, crop_mode=crop_mode, precision=precision, seed=seed,
        feature=feature, device=device,
    )  # fmt: skip
    size, seed = given["size"], given["seed"]  # plain numbers, which a sidecar can hold
    where = own_gpu(resolve_device(given["device"]))
    architecture = architecture_of(source)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = load_backbone(source, size=size)
    preprocess = preprocess_of(backbone, size=size, crop_mode=crop_mode)
    dim = feature_dim(backbone, preprocess, name=source)
    num_patches, module = 0, backbone
    if feature != "pooled":
        module = Tokens(backbone, feature, name=source)
        num_patches, dim = module.shape(preprocess.size)
    frozen = FrozenBackbone(
        name=source,
        source=source,
        architecture=architecture,
        backbone=module,
        preprocess=preprocess,
        dim=dim,
        weights_hash=weights_hash(backbone),
        precision=precision,
        feature=feature,
        num_patches=num_patches,
    )
    frozen.move_to(where)
    return frozen


@runtime_checkable
class _HasImages(Protocol):
    @property
    def images(self) -> Tensor: ...


Batch = TypeVar("Batch", bound=_HasImages)


def features_of(
    frozen: FrozenBackbone, batches: Iterable[Batch]
) -> Iterator[tuple[Batch, Float32[Tensor, "n *d"]]]:
    """Yield batches with their features on the CPU, in order.

    On CUDA the next batch is copied and queued before the features of the last one are waited for,
    so that the device never waits for the host. So a batch is yielded when its images may already
    be overwritten.

    Args:
        frozen: On its device.
        batches: Their ``images`` are uint8 (N, 3, S, S) on the CPU and may be written over as soon
            as the next batch is asked for.
    """
    before: tuple[Batch, _Running] | None = None
    for batch in batches:
        running = _start(frozen, batch.images)
        if before is not None:
            yield before[0], before[1].result()
        before = batch, running
    if before is not None:
        yield before[0], before[1].result()


@dataclass(frozen=True)
class _Running:
    """Features on their way to the CPU."""

    features: Tensor
    arrived: torch.cuda.Event | None = None

    def result(self) -> Tensor:
        if self.arrived is not None:
            self.arrived.synchronize()
        return self.features


def _start(frozen: FrozenBackbone, images: UInt8[Tensor, "n 3 s s"]) -> _Running:
    """Begin with a batch; ``images`` may be written over as soon as this returns."""
    device = frozen.device
    if device.type != "cuda":
        return _Running(frozen.features(images))
    features = frozen.features(to_device_ahead(images, device)).to("cpu", non_blocking=True)
    return _Running(features, torch.cuda.current_stream(device).record_event())
