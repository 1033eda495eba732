"""The views of the papers sample by sample: torchvision's functional ops, and plain loops."""

import numpy as np
import torch
import torchvision.transforms.v2.functional as tv

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]  # ImageNet's
JITTER = [tv.adjust_brightness, tv.adjust_contrast, tv.adjust_saturation, tv.adjust_hue]


def one_view(frame, *, box, parameters, size, grayscale_first, kernel_size):
    """One frame (3, H, W) as its view; ``box`` (left, top, width, height) in whole pixels.

    ``parameters`` are those of this one sample. Steps in the papers' order, flip late.
    """
    left, top, width, height = box
    image = tv.crop(frame.float() / 255, top, left, height, width)
    image = tv.resize(image, [size, size], antialias=True)
    if grayscale_first and parameters.grayscale:
        image = tv.rgb_to_grayscale(image, num_output_channels=3)
    if parameters.jitter:
        for op in parameters.jitter_order[0].tolist():
            image = JITTER[op](image, parameters.jitter_factors[0, op].item())
    if not grayscale_first and parameters.grayscale:
        image = tv.rgb_to_grayscale(image, num_output_channels=3)
    if parameters.blur:
        image = tv.gaussian_blur(image, [kernel_size] * 2, [parameters.blur_sigma.item()] * 2)
    if parameters.solarize:
        image = tv.solarize(image, 128 / 255)
    if parameters.flip:
        image = tv.horizontal_flip(image)
    return tv.normalize(image, MEAN, STD)


def resize_line(line, start, length, size):
    """Resize the stretch [start, start + length) of a line of numbers to ``size``, in float64."""
    step = length / size
    result = np.zeros(size)
    for i in range(size):
        centre = start + (i + 0.5) * step
        total = 0.0
        for j in range(len(line)):
            part = min(j + 1, start + length) - max(j, start)  # of pixel j that is in the stretch
            weight = max(1 - abs(j + 0.5 - centre) / max(step, 1), 0) * min(max(part, 0), 1)
            result[i] += weight * line[j]
            total += weight
        result[i] /= total
    return result


def resized_crop_boxes(aspect, scale, *, count, seed):
    """``count`` boxes (left, top, width, height), fractions, of torchvision's RandomResizedCrop.

    Drawn on a picture so large that its rounding to whole pixels does not matter.
    """
    from torchvision.transforms import RandomResizedCrop

    height = 2000
    width = round(height * aspect)
    picture = torch.empty(1, 1, 1).expand(1, height, width)
    state = torch.get_rng_state()
    torch.manual_seed(seed)
    boxes = [RandomResizedCrop.get_params(picture, scale, [3 / 4, 4 / 3]) for _ in range(count)]
    torch.set_rng_state(state)
    top, left, tall, wide = torch.tensor(boxes, dtype=torch.float64).unbind(1)
    return torch.stack([left / width, top / height, wide / width, tall / height], 1)
