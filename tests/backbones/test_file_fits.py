import pytest
import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from vidmoco.backbones.file_fits import require_fit, shapes_in
from vidmoco.errors import CheckpointError


def network(**options):
    return lambda: timm.create_model("resnet10t", num_classes=0, **options)


@pytest.fixture
def shapes(tmp_path):
    save_file(network()().state_dict(), tmp_path / "it.safetensors")
    return shapes_in(tmp_path / "it.safetensors")


def test_only_the_header_of_a_file_is_read(tmp_path):
    save_file({"a": torch.zeros(2, 3), "b": torch.zeros(())}, tmp_path / "it.safetensors")
    assert shapes_in(tmp_path / "it.safetensors") == {"a": (2, 3), "b": ()}
    (tmp_path / "it.safetensors").write_bytes(b"\xff" * 99)
    with pytest.raises(SafetensorError):
        shapes_in(tmp_path / "it.safetensors")


def test_a_network_of_its_own_fits_and_leaves_no_trace(shapes):
    require_fit(network(), shapes, source="it")
    assert network(layers=[99] * 4, block=timm.models.resnet.Bottleneck)  # no hook is left


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"layers": [10**5] * 4}, "tensors"),  # too many
        ({"stem_width": 10**5}, "values"),  # too large
        ({"channels": (64, 128, 256, 10**5)}, "values"),
    ],
)
def test_a_network_that_the_file_cannot_fill(options, what, shapes):
    with pytest.raises(CheckpointError, match=f"it describes a larger network .* {what}, and the"):
        require_fit(network(**options), shapes, source="it")
    assert network()().num_features == 512  # no hook is left


def test_modules_without_weights_are_counted_too(shapes):
    def build():
        return torch.nn.Sequential(*(torch.nn.Identity() for _ in range(10**5)))

    with pytest.raises(CheckpointError, match="modules, and the file"):
        require_fit(build, shapes, source="it")


def test_another_shape_of_the_same_name(shapes):
    with pytest.raises(CheckpointError, match=r"conv1\.0\.weight has the shape .*expected"):
        require_fit(network(in_chans=4), shapes, source="it")
