import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import cifar

from vidmoco.backbones.preprocess import Preprocess
from vidmoco.errors import ConfigError, DataError
from vidmoco.evaluate.features import image_loader
from vidmoco.images import torchvision as torchvision_images
from vidmoco.images.load import load_labelled_images
from vidmoco.images.torchvision import TorchvisionImages

PREPROCESS = Preprocess(
    size=16, crop_pct=1.0, interpolation="bilinear", mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.3)
)


@pytest.fixture
def words(tmp_path):
    """RenderedSST2 with its parts in the same order of classes; pixel value: number in its part."""
    for part, count in (("train", 4), ("valid", 2), ("test", 2)):
        for label in ("negative", "positive"):
            folder = tmp_path / "rendered-sst2" / part / label
            folder.mkdir(parents=True)
            for n in range(count):
                Image.new("RGB", (20, 16), (10 * n, 100, 50)).save(folder / f"{n}.png")
    return tmp_path


def test_a_dataset_with_named_parts(words):
    train, val = load_labelled_images(words, torchvision="RenderedSST2")
    assert train.classes == val.classes == ("negative", "positive")
    assert train.labels.tolist() == [0] * 4 + [1] * 4
    assert (train.split, val.split, len(val)) == ("train", "val", 4)
    image, label = train[6]
    assert image.shape == (3, 16, 20)
    assert image.dtype == torch.uint8
    assert image[:, 0, 0].tolist() == [20, 100, 50]
    assert label == 1
    assert train.names[6] == "train image 6"
    fewer, _ = load_labelled_images(words, torchvision="RenderedSST2", max_train_per_class=1)
    assert fewer.labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"_base_folder": "/data/dtd"}, "/data/dtd"),
        ({"base_folder": "cifar"}, "/data/cifar"),
        ({"raw_folder": "/data/MNIST/raw"}, "/data/MNIST"),
        ({"base_folder": "gone"}, "/data"),
        ({"_base_folder": "/data"}, "/data"),
        ({"_data_dir": "/elsewhere"}, "/data"),
        ({"base_folder": None}, "/data"),
        ({}, "/data"),
    ],
)
def test_the_datasets_own_folder(tmp_path, attributes, expected):
    for name in ("data/dtd", "data/cifar", "data/MNIST/raw", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    given = {
        name: f"{tmp_path}{one}" if str(one).startswith("/") else one
        for name, one in attributes.items()
    }
    source = object.__new__(TorchvisionImages)
    source.root, source._dataset = tmp_path / "data", SimpleNamespace(**given)
    assert str(source.folder) == f"{tmp_path}{expected}"


@pytest.mark.slow
def test_worker_processes_open_it_for_themselves(words):
    splits = load_labelled_images(words, torchvision="RenderedSST2")
    here, there = (
        torch.cat([
            batch.images
            for batch in image_loader(splits, PREPROCESS, batch_size=5, workers=workers)
        ])
        for workers in (0, 1)
    )  # fmt: skip
    assert torch.equal(here, there)
    assert len(here) == 12


def test_a_dataset_with_a_train_flag(tmp_path, monkeypatch):
    monkeypatch.setattr(cifar, "check_integrity", lambda *args: True)  # checksums of the real one
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for name in [f"data_batch_{n}" for n in range(1, 6)] + ["test_batch"]:
        data = generator.integers(0, 256, (4, 3072), dtype=np.uint8)
        (folder / name).write_bytes(pickle.dumps({"data": data, "labels": [0, 1, 2, 1]}))
    meta = {"label_names": ["plane", "car", "bird"]}
    (folder / "batches.meta").write_bytes(pickle.dumps(meta))
    train, test = load_labelled_images(tmp_path, torchvision="CIFAR10")
    assert (len(train), len(test), test.split) == (20, 4, "test")
    assert train.classes == ("plane", "car", "bird")
    assert (test[3][0].reshape(-1).numpy() == data[3]).all()


def test_val_is_drawn_from_a_dataset_of_one_part(tmp_path):
    for label, name in enumerate(("BACKGROUND_Google", "ant", "bass")):
        folder = tmp_path / "caltech101" / "101_ObjectCategories" / name
        folder.mkdir(parents=True)
        (tmp_path / "caltech101" / "Annotations").mkdir(exist_ok=True)
        for n in range(1, 11):
            Image.new("RGB", (9, 8), (10 * n, 60 * label, 50)).save(folder / f"image_{n:04d}.jpg")
    train, val = load_labelled_images(tmp_path, torchvision="Caltech101", seed=4)
    assert train.classes == val.classes == ("ant", "bass")
    assert (train.labels.bincount().tolist(), val.labels.bincount().tolist()) == ([7, 7], [3, 3])
    images = [part[n][0].float() for part in (train, val) for n in range(len(part))]
    shades = [round(image[0].mean().item() / 10) for image in images]
    assert sorted(shades) == sorted([*range(1, 11)] * 2)
    greens = [round(image[1].mean().item() / 60) for image in images]
    assert greens == [1] * 7 + [2] * 7 + [1] * 3 + [2] * 3


def test_two_classes_of_one_name_stay_two():
    """As in ImageNet, whose classes have synonyms."""
    dataset = SimpleNamespace(classes=[("crane",), ("cock", "hen"), ("crane",)])
    assert torchvision_images._classes_of(dataset, [2]) == ("crane (0)", "cock, hen", "crane (2)")


def test_a_damaged_image_is_a_data_error(words):
    (words / "rendered-sst2" / "train" / "negative" / "2.png").write_bytes(b"no picture")
    train, _ = load_labelled_images(words, torchvision="RenderedSST2")
    with pytest.raises(DataError, match="cannot identify image file"):
        train[2]


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("CIFER10", ConfigError, "no dataset 'CIFER10'. Did you mean 'CIFAR10'"),
        ("mnist", ConfigError, "no dataset 'mnist'. Did you mean 'MNIST'"),
        ("nn", ConfigError, "no dataset 'nn'"),
        ("CIFAR10", DataError, "cannot read CIFAR10 in .* vidmoco downloads no data"),
        ("STL10", DataError, "cannot read STL10"),
        ("EuroSAT", DataError, "cannot read EuroSAT in .* vidmoco downloads no data"),
        ("FakeData", ConfigError, "gives the classes of its images only by reading them all"),
    ],
)
def test_what_cannot_be_had(tmp_path, name, error, message):
    with pytest.raises(error, match=message):
        load_labelled_images(tmp_path, torchvision=name)
