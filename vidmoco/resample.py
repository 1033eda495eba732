"""Crop, resize and blur, batched with one box or sigma a sample, equal to torchvision's."""

import torch
from torch import Tensor

from vidmoco.shapes import Bool, Float, UInt8


def crop_and_resize(
    frames: UInt8[Tensor, "n 3 h w"],
    boxes: Float[Tensor, "n 4"],
    *,
    flip: Bool[Tensor, "n"],
    size: int,
) -> Float[Tensor, "n 3 {size} {size}"]:
    """Return the box of each frame as S x S pixels in [0, 1], mirrored where ``flip``.

    Antialiased bilinear, as PIL and torchvision resize a crop: products with a sample's own matrix
    for the columns and for the rows. ``boxes`` (left, top, width, height; fractions of the canvas)
    and ``flip`` are on the CPU.
    """
    n, _, h, w = frames.shape
    in_pixels = (boxes * torch.tensor([w, h, w, h])).float()
    left, top, width, height = in_pixels.to(frames.device, non_blocking=True).unbind(1)
    mirror = flip.to(frames.device, non_blocking=True)
    left, width = torch.where(mirror, left + width, left), torch.where(mirror, -width, width)
    across = resampling_matrix(left, width, pixels=w, size=size)
    down = resampling_matrix(top, height, pixels=h, size=size).mul_(1 / 255)
    # Columns first: fewer products where the canvas is wide.
    pixels = frames.to(torch.float32, memory_format=torch.contiguous_format).view(n, 3 * h, w)
    narrow = torch.bmm(pixels, across.transpose(1, 2)).view(n, 3, h, size)
    return torch.matmul(down[:, None], narrow)


def resampling_matrix(
    start: Float[Tensor, "n"], length: Float[Tensor, "n"], *, pixels: int, size: int
) -> Float[Tensor, "n {size} {pixels}"]:
    """Return the weights that resize a stretch of a line, start to start + length, to S pixels.

    A row is a triangle as wide as two output pixels (two input pixels where it enlarges), of sum 1.
    An input pixel counts by the part of it that lies in the stretch: none of it outside, all of it
    in a stretch of whole pixels, which is PIL's rule. A negative length runs backwards: it mirrors.
    """
    start, length = start[:, None, None], length[:, None, None]
    step = length / size  # from one output pixel to the next, in input pixels
    pixel = torch.arange(pixels, device=start.device, dtype=torch.float32)
    centre = start + step * (torch.arange(size, device=start.device)[:, None] + 0.5)
    distance = (pixel + 0.5 - centre).div_(step.abs().clamp(min=1)).abs_()
    low, high = torch.minimum(start, start + length), torch.maximum(start, start + length)
    inside = torch.minimum(pixel + 1, high) - torch.maximum(pixel, low)
    weights = distance.neg_().add_(1).clamp_(min=0).mul_(inside.clamp_(0, 1))
    return weights.div_(weights.sum(2, keepdim=True))


def blur_kernel_size(size: int) -> int:
    """Return SimCLR's kernel size: a tenth of the view's side, made odd (23 at 224); 3 at least."""
    return max(3, size // 10 | 1)


def gaussian_blur(
    images: Float[Tensor, "n 3 s s"], sigma: Float[Tensor, "n"]
) -> Float[Tensor, "n 3 s s"]:
    """Return images blurred by a Gaussian of ``sigma`` pixels each; the border is reflected.

    NOTE: MoCo v2 blurs with PIL's GaussianBlur, box blurs that approximate a whole Gaussian. This
    is SimCLR's: a true Gaussian, cut to ``blur_kernel_size`` pixels, which a small view feels
    (7 pixels at 64: a sigma of 2 acts like 1.6).
    """
    size = images.shape[-1]
    taps = blur_kernel_size(size)
    offset = torch.arange(taps, device=images.device) - taps // 2
    kernel = torch.softmax(-0.5 * (offset / sigma[:, None]) ** 2, dim=1)  # (N, taps)
    margin = taps // 2
    for dim, padding in ((3, (margin, margin, 0, 0)), (2, (0, 0, margin, margin))):
        padded = torch.nn.functional.pad(images, padding, mode="reflect")
        # A sum of shifted images: measured 1.3 times (224 pixels) to 3 times (64) faster on a CPU
        # than a grouped convolution or a product with a band matrix.
        images = torch.zeros_like(images)
        for tap in range(taps):
            images.addcmul_(padded.narrow(dim, tap, size), kernel[:, tap, None, None, None])
    return images
