"""Views that are cut on the GPU are those of the CPU, without a wait."""

import pytest
import torch
from host_waits import no_host_waits

from vidmoco.augment.views import build_augment
from vidmoco.config.augment import AugmentConfig
from vidmoco.device import to_device_ahead

SETTINGS = {
    "v1": AugmentConfig(size=32, hue=0.4, jitter_probability=1.0, grayscale_first=True),
    "v2": AugmentConfig(size=32),
    "v3": AugmentConfig(size=32, blur_probability=1.0, second_solarize_probability=0.2),
    "swav": AugmentConfig(size=32, crop_scale=(0.14, 1.0), small_crops=2, small_size=16),
}


def frames(n=8):
    return torch.randint(
        0, 256, (n, 2, 3, 48, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )


def views_on(device, config):
    given = to_device_ahead(frames(), device)
    draws = torch.Generator().manual_seed(3)
    return build_augment(config)(given, torch.full((8,), 4 / 3), draws)


@pytest.mark.parametrize("name", SETTINGS)
def test_views_are_those_of_the_cpu(name, device):
    """To a thousandth of a standard deviation; a grey level is 0.017 of one."""
    expected = views_on(torch.device("cpu"), SETTINGS[name])
    for found, wanted in zip(views_on(device, SETTINGS[name]), expected, strict=True):
        torch.testing.assert_close(found.cpu(), wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.gpu_only  # on a CPU, the host's own parameters of the views look like the device's
@pytest.mark.parametrize("name", SETTINGS)
def test_no_view_waits(name, device):
    augment, draws = build_augment(SETTINGS[name]), torch.Generator().manual_seed(3)
    given, aspect_ratios = to_device_ahead(frames(), device), torch.full((8,), 4 / 3)
    augment(given, aspect_ratios, draws)
    with no_host_waits(device):
        augment(given, aspect_ratios, draws)
