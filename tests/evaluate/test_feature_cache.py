import os
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import timm
import torch
from evaluate_runs import accuracies, run
from full_disk import no_space

from vidmoco.backbones.build import save_backbone
from vidmoco.evaluate import compare, feature_cache
from vidmoco.evaluate.candidates import load_candidates
from vidmoco.evaluate.feature_cache import (
    cache_path,
    features_key,
    hash_of_images,
    hash_of_labels,
    load_features,
    save_features,
)
from vidmoco.evaluate.features import Features, Refusal
from vidmoco.images.load import load_labelled_images
from vidmoco.images.torchvision import TorchvisionImages


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache" / "features"


def key_of(
    images, backbone="random:test_resnet", *, size=32, seed=0, precision="fp32", device_type="cpu"
):
    (candidate,) = load_candidates([backbone], size=size, seed=seed, precision=precision)
    images = hash_of_images(load_labelled_images(images))
    return features_key(candidate, images, device_type=device_type)


FEATURES = Features(
    values=torch.randn(3, 4),
    rows=torch.tensor([0, 2, 5]),
    refused=[Refusal(split="val", name="x", reason="why")],
)


def test_there_and_back(make_images, cache):
    key = key_of(make_images())
    assert load_features(key) == (None, "")
    assert save_features(FEATURES, key) == ""
    found, why = load_features(key)
    assert why == "" and found.refused == FEATURES.refused
    assert torch.equal(found.values, FEATURES.values) and torch.equal(found.rows, FEATURES.rows)
    assert len(list(cache.iterdir())) == 1


def test_whatever_they_depend_on_is_in_the_key(make_images):
    images = make_images()
    keys = [
        key_of(images),
        key_of(images, size=40),
        key_of(images, seed=1),
        key_of(images, "random:test_vit"),
        key_of(images, precision="bf16"),
        key_of(images, device_type="cuda"),
    ]
    shutil.copy(images / "train" / "red" / "1.png", images / "train" / "red" / "2.png")
    keys.append(key_of(images))
    (images / "val" / "red" / "1.png").rename(images / "val" / "red" / "9.png")
    keys.append(key_of(images))
    assert len({cache_path(key) for key in keys}) == len(keys)
    assert key_of(images) == key_of(images)


def test_equal_names_sizes_and_times_are_not_equal_images(make_images, tmp_path):
    images = make_images()
    shutil.copytree(images, tmp_path / "other")
    assert key_of(tmp_path / "other") == key_of(images)  # its place says nothing
    path = tmp_path / "other" / "val" / "red" / "1.png"
    status, data = path.stat(), bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert key_of(tmp_path / "other") != key_of(images)


def test_equal_names_sizes_and_times_are_not_equal_parquet_files(tmp_path):
    for place in ("a", "b", "c"):
        for split in ("train", "val"):
            shift = 100 if place == "b" else 0
            table = pa.table({"image": [bytes([i + shift] * 9) for i in (0, 1)], "label": [0, 1]})
            (tmp_path / place).mkdir(exist_ok=True)
            pq.write_table(table, tmp_path / place / f"{split}.parquet", compression="none")
            os.utime(tmp_path / place / f"{split}.parquet", ns=(1, 1))
    assert len({(tmp_path / place / "val.parquet").stat().st_size for place in "abc"}) == 1
    hashes = [hash_of_images(load_labelled_images(tmp_path / place)) for place in "abc"]
    assert hashes[0] == hashes[2] != hashes[1]


def test_labels_and_names_are_told_apart(make_images, tmp_path):
    train, val = load_labelled_images(make_images())
    given = hash_of_labels([train, val])
    assert given == hash_of_labels(load_labelled_images(tmp_path / "images"))
    for other in (
        [replace(train, labels=train.labels.flip(0)), val],
        [replace(train, classes=("a", "b", "c")), val],
    ):
        assert hash_of_labels(other) != given
    sources = [TorchvisionImages.__new__(TorchvisionImages) for _ in range(2)]
    for source, name in zip(sources, ("CIFAR10", "CIFAR100"), strict=True):
        source.name, source.root = name, tmp_path  # of two datasets below one root
        source._dataset = SimpleNamespace(base_folder=name)
    hashes = {hash_of_images([replace(train, source=source)]) for source in sources}
    assert len(hashes) == 2
    (tmp_path / "CIFAR10").mkdir()
    parts = [replace(train, source=sources[0])]
    before = hash_of_images(parts)
    (tmp_path / "another dataset").write_text("may change, and need not be read")
    assert hash_of_images(parts) == before
    (tmp_path / "CIFAR10" / "data").write_text("new")
    assert hash_of_images(parts) != before


def test_the_same_weights_in_another_network_have_other_features(make_images, tmp_path):
    """Heads and paddings are in no weight: the cache must not take one for the other."""
    images, keys = make_images(), []
    for heads in (3, 12):
        torch.manual_seed(0)
        vit = timm.create_model(
            "vit_tiny_patch16_224", img_size=32, depth=1, num_heads=heads, num_classes=0
        )
        save_backbone(vit, tmp_path / f"{heads}", input_size=32, provenance={})
        keys.append(key_of(images, str(tmp_path / f"{heads}")))
    assert keys[0]["weights"] == keys[1]["weights"]
    assert cache_path(keys[0]) != cache_path(keys[1])
    (candidate,) = load_candidates(["random:test_resnet"], size=32)
    one = features_key(candidate, "", device_type="cpu")
    next(m for m in candidate.backbone.modules() if isinstance(m, torch.nn.Conv2d)).padding = (2, 2)
    assert features_key(candidate, "", device_type="cpu") != one


def test_features_of_another_backbone_are_not_taken(make_images, cache):
    images = make_images()
    key, other = key_of(images), key_of(images, seed=3)
    save_features(FEATURES, other)
    cache_path(other).rename(cache_path(key))
    found, why = load_features(key)
    assert found is None and "has features of another key" in why
    cache_path(key).write_bytes(b"cut off")
    found, why = load_features(key)
    assert found is None and "is damaged" in why


def test_a_comparison_computes_them_once(make_images, tmp_path, monkeypatch):
    images = make_images()
    computed = []

    def compute(*args, **options):
        computed.append(1)
        return original(*args, **options)

    original = compare.compute_features
    monkeypatch.setattr(compare, "compute_features", compute)
    first, _, _ = run(images, tmp_path)
    again, _, _ = run(images, tmp_path)
    assert len(computed) == 1 and accuracies(first) == accuracies(again)
    run(images, tmp_path, fresh=True)
    assert len(computed) == 2
    run(images, tmp_path, "random:test_resnet", "random:test_vit")
    assert len(computed) == 3


def test_a_full_disk_is_said_and_no_more(make_images, tmp_path, monkeypatch):
    monkeypatch.setattr(feature_cache, "save_file", no_space)
    results, _, log = run(make_images(), tmp_path)
    assert "Features are not kept: " in log and "No space left" in log
    assert results["rows"]
