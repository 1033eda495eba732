import copy
import json
from dataclasses import fields, replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from child_processes import launch
from evaluate_runs import run
from reference.finetune import rates, sgd

from vidmoco.backbones.build import weights_hash
from vidmoco.backbones.preprocess import normalize
from vidmoco.errors import CheckpointError
from vidmoco.evaluate import compare
from vidmoco.evaluate.candidates import load_candidates
from vidmoco.evaluate.features import compute_features, image_loader
from vidmoco.evaluate.finetune import Classifier, FinetuneSettings, finetune
from vidmoco.evaluate.finetune_recipes import ALL_LAYERS_RECIPES, HEAD_RECIPES
from vidmoco.evaluate.finetune_state import FinetuneState
from vidmoco.evaluate.training_images import EpochBatches, TrainingImages, batch_size_of
from vidmoco.images.load import load_labelled_images

SETTINGS = FinetuneSettings(
    rule="head", recipe=HEAD_RECIPES["moco_v1"], epochs=5, lr=0.1, batch_size=6, seed=0,
    precision="fp32",
)  # fmt: skip
DEIT = replace(SETTINGS, rule="all", recipe=ALL_LAYERS_RECIPES["deit"], epochs=3, lr=0.01)
ALL = replace(SETTINGS, rule="all", recipe=ALL_LAYERS_RECIPES["simclr"], epochs=3, lr=0.5)


@pytest.fixture
def material(make_images):
    train, val = load_labelled_images(make_images())
    (candidate,) = load_candidates(["random:test_resnet"], size=32)
    loader = image_loader([train, val], candidate.preprocess, batch_size=8, workers=0)
    features = compute_features(candidate, loader)
    return candidate, features, train, val


@pytest.fixture
def transformer(make_images):
    train, val = load_labelled_images(make_images())
    (candidate,) = load_candidates(["random:vit_tiny_patch16_224"], size=32)
    loader = image_loader([train, val], candidate.preprocess, batch_size=8, workers=0)
    return candidate, compute_features(candidate, loader), train, val


def train_it(material, settings=SETTINGS, *, name="a", epochs=None, **options):
    state = FinetuneState({"name": name}, epochs=epochs or settings.epochs)
    return finetune(
        *material, settings, state=state, device=torch.device("cpu"), workers=0, **options
    )


@pytest.mark.parametrize("recipe", ["moco_v1", "moco_v3_resnet", "all layers"])
def test_the_head_is_trained_as_in_the_papers(recipe, material):
    chosen = HEAD_RECIPES.get(recipe, ALL_LAYERS_RECIPES["simclr"])
    settings = replace(SETTINGS, recipe=chosen)
    curve = train_it(material, settings)
    candidate, features, train, val = material
    torch.manual_seed(0)
    head = Classifier(candidate.backbone, dim=candidate.dim, num_classes=3, is_frozen=True).head
    assert 0.008 < head.weight.std() < 0.012
    assert not head.bias.any()
    weight, bias = head.weight.detach().clone(), head.bias.detach().clone()
    crops = TrainingImages(train, candidate.preprocess, crop_scale=(0.08, 1.0), seed=0)
    places = EpochBatches(features.rows[:18].numpy(), epochs=range(5), batch_size=6, seed=0)
    batches = []
    for batch in places:
        images, labels = zip(*(crops[place] for place in batch), strict=True)
        with torch.no_grad():
            inputs = normalize(torch.stack(images), candidate.preprocess)
            batches.append((candidate.backbone.eval()(inputs), torch.tensor(labels)))
    steps = rates(recipe, epochs=5, steps=3, batch_size=6, lr=0.1)
    losses = sgd(weight, bias, batches, steps, nesterov=chosen is ALL_LAYERS_RECIPES["simclr"])
    losses = torch.tensor(losses).view(5, 3).mean(dim=1)
    found = [point["train_loss"] for point in curve]
    assert found == pytest.approx(losses.tolist(), rel=1e-4)
    right = (features.values[18:] @ weight.T + bias).argmax(1) == val.labels
    assert curve[-1]["top1"] == pytest.approx(100 * right.double().mean().item())
    assert [point["epoch"] for point in curve] == [1, 2, 3, 4, 5]
    assert "top5" not in curve[0]  # three classes


def test_the_head_of_simsiam_is_trained_by_lars(material):
    """Each step has the length lr * 0.001 * |p| / |g|, and lr * 1 where p is zero."""
    settings = replace(SETTINGS, recipe=HEAD_RECIPES["simsiam"], lr=40.0)
    curve = train_it(material, settings)
    candidate, features, train, _ = material
    torch.manual_seed(0)
    head = Classifier(candidate.backbone, dim=candidate.dim, num_classes=3, is_frozen=True).head
    velocities = [torch.zeros_like(p) for p in head.parameters()]
    crops = TrainingImages(train, candidate.preprocess, crop_scale=(0.08, 1.0), seed=0)
    places = EpochBatches(features.rows[:18].numpy(), epochs=range(5), batch_size=6, seed=0)
    steps = rates("moco_v3_resnet", epochs=5, steps=3, batch_size=6, lr=40.0)
    losses = []
    for batch, lr in zip(places, steps, strict=True):
        images, labels = zip(*(crops[place] for place in batch), strict=True)
        with torch.no_grad():
            inputs = candidate.backbone(normalize(torch.stack(images), candidate.preprocess))
        loss = torch.nn.functional.cross_entropy(head(inputs), torch.tensor(labels))
        gradients = torch.autograd.grad(loss, list(head.parameters()))
        losses.append(loss.item())
        for p, g, v in zip(head.parameters(), gradients, velocities, strict=True):
            factor = 0.001 * p.norm() / g.norm() if p.norm() > 0 else 1.0
            v.mul_(0.9).add_(g * factor)
            p.data -= lr * v
    means = torch.tensor(losses).view(5, 3).mean(dim=1).tolist()
    assert [point["train_loss"] for point in curve] == pytest.approx(means, rel=1e-4)


def test_a_frozen_backbone_sees_a_large_batch_in_parts(material, monkeypatch):
    candidate = material[0]
    model = Classifier(candidate.backbone, dim=candidate.dim, num_classes=3, is_frozen=True)
    images, seen = torch.randn(7, 3, 32, 32), []
    whole = model(images)
    model.backbone.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    monkeypatch.setattr("vidmoco.evaluate.finetune._MOST_AT_ONCE", 3)
    torch.testing.assert_close(model(images), whole)
    assert seen == [3, 3, 1]


@pytest.mark.parametrize("settings", [SETTINGS, ALL], ids=["head", "all"])
def test_the_backbone_that_was_given_does_not_change(settings, material):
    candidate = material[0]
    before = copy.deepcopy(candidate.backbone.state_dict())
    curve = train_it(material, settings)
    assert weights_hash(candidate.backbone) == candidate.weights_hash
    assert all(
        torch.equal(value, before[name]) for name, value in candidate.backbone.state_dict().items()
    )
    assert curve[-1]["train_loss"] < curve[0]["train_loss"]


def test_all_layers_learn_more_than_the_head(material):
    # What one linear layer cannot: the same rate and steps for both.
    settings = replace(ALL, epochs=6, lr=0.3)
    both = [train_it(material, replace(settings, rule=rule), name=rule) for rule in ("head", "all")]
    assert both[1][-1]["train_loss"] < both[0][-1]["train_loss"] - 0.05


def test_whatever_it_depends_on_is_in_the_key():
    changed = {"rule": "all", "recipe": HEAD_RECIPES["moco_v3_vit"], "epochs": 6, "lr": 0.2,
               "batch_size": 7, "seed": 1, "precision": "bf16"}  # fmt: skip
    assert set(changed) == {field.name for field in fields(FinetuneSettings)}
    keys = [SETTINGS.as_key()]
    keys += [replace(SETTINGS, **{name: value}).as_key() for name, value in changed.items()]
    assert len({json.dumps(key) for key in keys}) == len(keys)


def test_a_batch_is_no_larger_than_the_set(material):
    # Its rate is that of the images that are there, not of those asked for.
    recipe = HEAD_RECIPES["moco_v3_resnet"]
    assert replace(SETTINGS, recipe=recipe, batch_size=128).base_lr == pytest.approx(0.05)
    assert batch_size_of(18, asked=256) == 18


@pytest.mark.parametrize("settings", [SETTINGS, ALL, DEIT], ids=["head", "all", "deit"])
def test_it_goes_on_where_it_was_stopped(settings, request):
    material = request.getfixturevalue("transformer" if settings is DEIT else "material")
    whole = train_it(material, settings, name="whole")

    class Stopped(Exception):
        pass

    def stop(state):
        if state.startswith("epoch 3 of") and ", 67%" in state:
            raise Stopped

    with pytest.raises(Stopped):
        train_it(material, settings, name="parts", on_step=stop)
    seen = []
    assert train_it(material, settings, name="parts", on_step=seen.append) == whole
    assert seen[0].startswith("epoch 3 of")
    seen.clear()
    assert train_it(material, settings, name="parts", on_step=seen.append) == whole
    assert seen == []  # it had ended


def test_a_loss_that_is_not_finite_ends_it(material):
    with pytest.raises(CheckpointError, match="lower --finetune-lr"):
        train_it(material, replace(ALL, lr=1e30))


def test_a_damaged_image_is_not_learnt_from(make_images, tmp_path):
    images = make_images()
    (images / "train/red/0.png").write_bytes(b"nothing")
    (images / "val/blue/0.png").write_bytes(b"nothing")
    results, table, _ = run(
        images, tmp_path, finetune=("head", "all"), finetune_epochs=2, finetune_batch_size=8
    )
    (row,) = results["rows"]
    assert set(row["finetune"]) == {"head", "all"}
    for rule, name in (("head", "moco_v3_resnet"), ("all", "simclr")):
        found = row["finetune"][rule]
        assert found["recipe"] == name
        assert found["batch_size"] == 8
        assert 8 * found["top1"] / 100 == pytest.approx(round(8 * found["top1"] / 100))
        assert len(found["epochs"]) == 2
        assert found["top1"] == found["epochs"][-1]["top1"]
        assert f"{rule}, top-1" in table
        assert row["seconds"][f"finetune_{rule}"] > 0
    assert "rate 0.003125, 2 epochs, batches of 8" in table


def test_a_kept_curve_is_of_its_labels_and_its_rule(make_images, tmp_path, monkeypatch):
    """Of the same features: another column of labels, or another rule, is another fine-tuning."""
    source = make_images()
    (tmp_path / "both").mkdir()
    for split in ("train", "val"):
        files = sorted((source / split).rglob("*.png"))
        table = {
            "image": [file.read_bytes() for file in files],
            "label": [file.parent.name for file in files],
            "odd": [("blue", "green", "red")[n % 3] for n in range(len(files))],
        }
        pq.write_table(pa.table(table), tmp_path / "both" / f"{split}.parquet")
    computed = []

    def compute(*arguments, **options):
        computed.append(1)
        return compute_features(*arguments, **options)

    monkeypatch.setattr(compare, "compute_features", compute)

    def curve(rule, column):
        results, _, _ = run(
            tmp_path / "both", tmp_path, label_column=column, finetune=(rule,), linear=False,
            finetune_epochs=1, finetune_lr=0.1, finetune_batch_size=6,
        )  # fmt: skip
        return results["rows"][0]["finetune"][rule]["epochs"]

    asked = [(rule, column) for rule in ("head", "all") for column in ("label", "odd")]
    first = [curve(*one) for one in asked]
    assert len(computed) == 1  # all are of the same features
    assert len({json.dumps(one) for one in first}) == 4
    monkeypatch.setattr(compare, "finetune", finetune_nothing_new(compare.finetune))
    assert [curve(*one) for one in asked] == first  # as they were kept


def finetune_nothing_new(true_finetune):
    def finetune(*arguments, **options):
        def told(state):
            raise AssertionError(f"it trains: {state}")

        return true_finetune(*arguments, **options | {"on_step": told})

    return finetune


def test_two_processes_are_one(make_images, tmp_path):
    images = make_images()
    words = [
        "evaluate", str(images), "--backbone", "random:test_resnet", "--size", "32",
        "--finetune", "head", "all", "--finetune-epochs", "2", "--finetune-batch-size", "6",
        "--no-linear", "--k", "1", "--device", "cpu", "--workers", "0", "--seed", "1",
    ]  # fmt: skip
    found = []
    for name, processes in (("one", 1), ("two", 2)):
        output = tmp_path / f"{name}.json"
        # fresh: the second would find what the first has kept
        command = ["-m", "vidmoco", *words, "--fresh", "-o", str(output)]
        launch(command, world_size=processes)
        (row,) = json.loads(output.read_text())["rows"]
        curves = [row["finetune"][rule]["epochs"] for rule in ("head", "all")]
        points = [point for curve in curves for point in curve]
        found.append([point[key] for point in points for key in ("train_loss", "top1")])
    assert found[1] == pytest.approx(found[0], rel=1e-3)
