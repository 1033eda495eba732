import pytest
import torch
from freeze import freeze
from PIL import Image
from torch import nn

from vidmoco.backbones.preprocess import Preprocess, normalize, resize_and_crop
from vidmoco.errors import CheckpointError
from vidmoco.evaluate import features as features_module
from vidmoco.evaluate.features import Refusal, compute_features, default_workers, image_loader
from vidmoco.images.load import load_labelled_images

PREPROCESS = Preprocess(
    size=16, crop_pct=0.875, interpolation="bilinear", mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.3)
)


def small_backbone():
    """A backbone that notices whether it is in evaluation mode; D = 5."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 5, 3),
        nn.BatchNorm2d(5),
        nn.Dropout(0.5),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


def run(splits, backbone=None, *, batch_size=4, workers=0, precision="fp32", **options):
    loader = image_loader(splits, PREPROCESS, batch_size=batch_size, workers=workers)
    frozen = freeze(backbone or small_backbone(), PREPROCESS, dim=5, precision=precision)
    return compute_features(frozen, loader, **options)


def test_features_are_those_of_each_image_alone(make_images):
    train, val = load_labelled_images(make_images())
    done = []
    result = run([train, val], on_batch=done.append)
    assert result.rows.tolist() == list(range(27))
    assert result.values.dtype == torch.float32
    assert result.refused == []
    assert sum(done) == 27
    backbone = small_backbone().eval()
    for row, (split, index) in {0: (train, 0), 17: (train, 17), 20: (val, 2)}.items():
        image = normalize(resize_and_crop(split[index][0], PREPROCESS)[None], PREPROCESS)
        assert torch.allclose(result.values[row], backbone(image)[0].detach(), atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 7, 100])
def test_any_batch_size_gives_the_same(make_images, batch_size):
    splits = load_labelled_images(make_images())
    # Not bit for bit: a convolution may sum in another order for another batch.
    a, b = run(splits), run(splits, batch_size=batch_size)
    assert torch.allclose(a.values, b.values, atol=1e-6)
    assert a.rows.tolist() == b.rows.tolist()


@pytest.mark.slow
def test_worker_processes_give_the_same_and_serve_again(make_images):
    folder = make_images()
    (folder / "train" / "red" / "0.png").write_bytes(b"broken")
    splits = load_labelled_images(folder)
    expected = run(splits)
    loader = image_loader(splits, PREPROCESS, batch_size=4, workers=1)
    for _ in range(2):
        got = compute_features(freeze(small_backbone(), PREPROCESS, dim=5), loader)
        assert torch.equal(got.values, expected.values)
        assert got.refused == expected.refused


def test_damaged_images_are_left_out_and_listed(make_images):
    folder = make_images()
    whole = run(load_labelled_images(folder))
    (folder / "train" / "blue" / "2.png").write_bytes(b"broken")
    (folder / "val" / "red" / "1.png").write_bytes(b"")
    result = run(load_labelled_images(folder))
    kept = [row for row in range(27) if row not in (2, 25)]
    assert result.rows.tolist() == kept
    assert torch.allclose(result.values, whole.values[kept], atol=1e-6)
    assert result.refused[1] == Refusal(
        split="val", name="val/red/1.png", reason="the file is empty"
    )
    assert result.refused[0].name == "train/blue/2.png"
    assert "cannot identify" in result.refused[0].reason


def test_the_backbone_does_not_change_by_one_bit(make_images):
    backbone = small_backbone().train()
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    run(load_labelled_images(make_images()), backbone)
    assert all(torch.equal(before[name], t) for name, t in backbone.state_dict().items())


def test_features_can_be_trained_on(make_images):
    values = run(load_labelled_images(make_images())).values
    assert not values.is_inference()
    assert not values.requires_grad


def test_bf16_is_near_fp32_and_not_equal(make_images):
    splits = load_labelled_images(make_images())
    exact, rough = run(splits).values, run(splits, precision="bf16").values
    assert rough.dtype == torch.float32
    assert torch.allclose(exact, rough, atol=0.02)
    assert not torch.equal(exact, rough)


def test_features_that_are_not_finite_are_refused(make_images):
    backbone = small_backbone()
    backbone[0].weight.data[0] = float("nan")
    with pytest.raises(CheckpointError, match="b gives features that are not finite for 27 of 27"):
        run(load_labelled_images(make_images()), backbone)


def test_workers_are_started_only_where_reading_takes_long(make_images, monkeypatch):
    folder = make_images()
    splits = load_labelled_images(folder)
    assert default_workers(splits, passes=1) == 0
    assert default_workers(splits, passes=10**9) >= 1
    for file in (folder / "train").rglob("*.png"):
        file.write_bytes(b"broken")
    assert default_workers(splits, passes=1) == 0
    monkeypatch.setattr(features_module, "num_cores", lambda: 64)
    assert default_workers(splits, passes=10**9) == 16
    monkeypatch.setattr(features_module.distributed, "local_world_size", lambda: 8)
    assert default_workers(splits, passes=10**9) == 8


def test_images_of_any_size_and_kind_make_a_batch(make_images):
    folder = make_images()
    Image.new("L", (90, 11)).save(folder / "train" / "red" / "grey.png")
    Image.new("RGBA", (1, 1)).save(folder / "train" / "red" / "alpha.png")
    assert len(run(load_labelled_images(folder)).values) == 29
