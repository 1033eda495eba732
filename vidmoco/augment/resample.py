"""Crop, resize and blur, as in torchvision, but batched with one box or sigma per sample."""

import numpy as np
import torch
from torch import Tensor

from vidmoco.device import to_device
from vidmoco.shapes import Bool, Float, UInt8

# Rows or columns of a view per matrix product on a CPU. Measured: at 64 pixels 16 and 32 are
# equally fast, at 224 pixels 16 is a tenth faster than 8 and 32. Such a small product uses one
# thread.
BLOCK = 16


def crop_and_resize(
    frames: UInt8[Tensor, "n 3 h w"],
    boxes: Float[Tensor, "n 4"],
    *,
    flip: Bool[Tensor, "n"],
    size: int,
) -> Float[Tensor, "n 3 {size} {size}"]:
    """Return the box of each frame as S x S pixels in [0, 1], mirrored if its ``flip`` is true.

    The interpolation is antialiased and bilinear, as in PIL and torchvision. Each sample has two
    resampling matrices, for columns and rows. ``boxes`` (left, top, width, height, as fractions of
    the canvas) and ``flip`` are on the CPU.
    """
    h, w = frames.shape[2:]
    left, top, width, height = (boxes * torch.tensor([w, h, w, h])).float().unbind(1)
    left, width = torch.where(flip, left + width, left), torch.where(flip, -width, width)
    stretches = torch.stack([left, width, top, height])
    if frames.device.type == "cpu":
        return resize_each(frames, stretches, size=size)
    return resize_together(frames, to_device(stretches, frames.device), size=size)


def resize_together(
    frames: UInt8[Tensor, "n 3 h w"], stretches: Float[Tensor, "4 n"], *, size: int
) -> Float[Tensor, "n 3 {size} {size}"]:
    """Return stretches of frames as S x S pixels, by products with whole matrices, for a GPU.

    Stretches (left, width, top, height, in pixels of the canvas) are on the device of the frames. A
    negative width mirrors.
    """
    n, _, h, w = frames.shape
    left, width, top, height = stretches.unbind()
    across = resampling_matrix(left, width, pixels=w, size=size)
    down = resampling_matrix(top, height, pixels=h, size=size).mul_(1 / 255)
    # Columns first: a wide canvas then needs fewer multiplications.
    pixels = frames.to(torch.float32, memory_format=torch.contiguous_format).view(n, 3 * h, w)
    narrow = torch.bmm(pixels, across.transpose(1, 2)).view(n, 3, h, size)
    return torch.matmul(down[:, None], narrow)


def resize_each(
    frames: UInt8[Tensor, "n 3 h w"], stretches: Float[Tensor, "4 n"], *, size: int
) -> Float[Tensor, "n 3 {size} {size}"]:
    """Return the result of ``resize_together``, sample by sample, for a CPU.

    Only the nonzero bands of the matrices are multiplied. Measured on a CPU: twice as fast at 64
    pixels and 4 times at 224. NumPy's products have less overhead than torch's: 1.4 to 1.7 times
    as fast. No value depends on other samples, not even its rounding.
    """
    n, _, h, w = frames.shape
    left, width, top, height = stretches.unbind()
    across = resampling_matrix(left, width, pixels=w, size=size).transpose(1, 2)
    down = resampling_matrix(top, height, pixels=h, size=size).mul_(1 / 255)
    blocks = [slice(first, min(first + BLOCK, size)) for first in range(0, size, BLOCK)]
    all_columns = _bands(left, width, blocks=blocks, pixels=w, size=size)
    all_rows = _bands(top, height, blocks=blocks, pixels=h, size=size)
    # Row y of a sample holds row y of red, green and blue: the products write it without a copy.
    views = torch.empty(n, size, 3 * size)
    arrays = (tensor.numpy() for tensor in (frames, across, down, views))
    samples = zip(*arrays, all_columns, all_rows, strict=True)
    for frame, to_columns, to_rows, view, columns, rows in samples:
        (x, right), (y, bottom) = _hull(columns), _hull(rows)
        crop = frame[:, y:bottom, x:right].swapaxes(0, 1).astype(np.float32, order="C")
        crop = crop.reshape(3 * (bottom - y), right - x)
        narrow = np.empty((3 * (bottom - y), size), np.float32)
        for block, (first, last) in zip(blocks, columns, strict=True):
            pixels = crop[:, first - x : last - x]
            np.matmul(pixels, to_columns[first:last, block], out=narrow[:, block])
        narrow = narrow.reshape(bottom - y, 3 * size)
        for block, (first, last) in zip(blocks, rows, strict=True):
            np.matmul(to_rows[block, first:last], narrow[first - y : last - y], out=view[block])
    return views.view(n, size, 3, size).transpose(1, 2)


def _bands(
    start: Tensor, length: Tensor, *, blocks: list[slice], pixels: int, size: int
) -> list[list[list[int]]]:
    """Return the columns (first, last + 1) of each block's nonzero weights, one list per sample."""
    step = (length / size)[:, None]
    ends = torch.tensor([(block.start + 0.5, block.stop - 0.5) for block in blocks])
    centres = start[:, None, None] + step[..., None] * ends
    first, last = centres.sort(2).values.unbind(2)
    reach = step.abs().clamp(min=1) + 0.5
    low, high = (first - reach).floor(), (last + reach).ceil()
    return torch.stack([low, high], 2).clamp(0, pixels).int().tolist()


def _hull(bands: list[list[int]]) -> tuple[int, int]:
    """Return the columns that the bands span. Bands are in order, or reversed if mirrored."""
    return min(bands[0][0], bands[-1][0]), max(bands[0][1], bands[-1][1])


def resampling_matrix(
    start: Float[Tensor, "n"], length: Float[Tensor, "n"], *, pixels: int, size: int
) -> Float[Tensor, "n {size} {pixels}"]:
    """Return the weights that resize a stretch of a line, start to start + length, to S pixels.

    A row is a triangle two output pixels wide (two input pixels if it enlarges) with sum 1. An
    input pixel is weighted by the fraction of it that lies in the stretch, so a stretch of whole
    pixels gives PIL's weights. A negative length runs backwards, which mirrors.
    """
    start, length = start[:, None, None], length[:, None, None]
    step = length / size  # input pixels per output pixel
    pixel = torch.arange(pixels, device=start.device, dtype=torch.float32)
    centre = start + step * (torch.arange(size, device=start.device)[:, None] + 0.5)
    low, high = torch.minimum(start, start + length), torch.maximum(start, start + length)
    inside = torch.minimum(pixel + 1, high) - torch.maximum(pixel, low)
    # Divide the vectors, not the matrix: passes over the matrix dominate the cost.
    reach = step.abs().clamp(min=1)
    distance = ((pixel + 0.5) / reach - centre / reach).abs_()
    weights = torch.rsub(distance, 1).clamp_(min=0).mul_(inside.clamp_(0, 1))
    return weights.div_(weights.sum(2, keepdim=True))


def blur_kernel_size(size: int) -> int:
    """Return SimCLR's kernel size: a tenth of the view's side, made odd (23 at 224), at least 3."""
    return max(3, size // 10 | 1)


def gaussian_blur(
    images: Float[Tensor, "n 3 s s"], sigma: Float[Tensor, "n"]
) -> Float[Tensor, "n 3 s s"]:
    """Return images blurred by a Gaussian of ``sigma`` pixels each. Borders are reflected.

    NOTE: MoCo v2 uses PIL's GaussianBlur, which approximates a Gaussian by box blurs. This is
    SimCLR's blur: a Gaussian cut off at ``blur_kernel_size`` pixels. The cut matters for small
    views: at 64 pixels the kernel has 7, and a sigma of 2 acts like 1.6.
    """
    size = images.shape[-1]
    taps = blur_kernel_size(size)
    offset = torch.arange(taps, device=images.device) - taps // 2
    kernel = torch.softmax(-0.5 * (offset / sigma[:, None]) ** 2, dim=1)  # (N, taps)
    margin = taps // 2
    for dim, padding in ((3, (margin, margin, 0, 0)), (2, (0, 0, margin, margin))):
        padded = torch.nn.functional.pad(images, padding, mode="reflect")
        # A sum of shifted images. Measured on a CPU: 1.3 times (224 pixels) to 3 times (64) faster
        # than a grouped convolution or a product with a band matrix.
        images = padded.narrow(dim, 0, size) * kernel[:, 0, None, None, None]
        for tap in range(1, taps):
            images.addcmul_(padded.narrow(dim, tap, size), kernel[:, tap, None, None, None])
    return images
