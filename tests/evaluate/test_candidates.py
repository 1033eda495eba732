import pytest
import torch

from vidmoco.backbones.build import load_backbone, save_backbone
from vidmoco.cli.main import main
from vidmoco.errors import CheckpointError, ConfigError
from vidmoco.evaluate.candidates import display_names, load_candidates


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A run folder with a backbone that wants 40 px."""
    folder = tmp_path_factory.mktemp("runs") / "kitchen"
    folder.mkdir()
    backbone = load_backbone("resnet10t", pretrained=False)
    save_backbone(backbone, folder / "backbone", input_size=40, provenance={"run": "kitchen"})
    return folder


def test_random_is_the_first_other_backbone_untrained(run_folder):
    random, trained, other = load_candidates(
        ["random", str(run_folder), "random:test_resnet"], seed=3
    )
    assert [c.name for c in (random, trained, other)] == [
        "random (resnet10t)",
        "kitchen",
        "random (test_resnet)",
    ]
    assert (random.is_untrained, trained.is_untrained, other.is_untrained) == (True, False, True)
    assert random.architecture == trained.architecture == "resnet10t"
    assert random.preprocess == trained.preprocess
    assert random.preprocess.size == 40
    assert random.dim == trained.dim == 512
    assert random.weights_hash != trained.weights_hash
    assert other.preprocess.size != 40


def test_random_weights_depend_on_the_seed_only(run_folder):
    def weights(sources, seed):
        return {c.source: c.weights_hash for c in load_candidates(sources, seed=seed)}["random"]

    state = torch.get_rng_state()
    first = weights([str(run_folder), "random"], 0)
    assert weights(["random:test_resnet", "random", str(run_folder)], 0) == first
    assert weights([str(run_folder), "random"], 1) != first
    assert torch.equal(torch.get_rng_state(), state)  # the caller's own numbers are left alone


def test_size_and_crop_are_those_of_the_flags(run_folder):
    sources = [str(run_folder), "random"]
    candidates = load_candidates(sources, size=24, crop_mode="squash")
    assert {(c.preprocess.size, c.preprocess.crop_mode) for c in candidates} == {(24, "squash")}


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        (["random"], "there is none. Name one, or an architecture: random:resnet18"),
        (["random:resnet10t", "random"], "there is none"),
        (["random:test_resnet", "random:test_resnet"], "names 'random:test_resnet' 2 times"),
        (["random:resnet81"], "Unknown backbone 'resnet81'. Did you mean 'resnet18'"),
        (["./nowhere"], "no backbone at ./nowhere"),
    ],
)
def test_backbones_that_cannot_be_compared(sources, message):
    with pytest.raises(ConfigError, match=message):
        load_candidates(sources)


def test_a_size_that_a_vit_cannot_take():
    with pytest.raises(ConfigError, match=r"test_vit .* 40 px .* Make --size 32 or 48"):
        load_candidates(["random:test_vit"], size=40)


def test_a_damaged_folder(run_folder, tmp_path):
    with pytest.raises(CheckpointError, match="is not a backbone folder"):
        load_candidates([str(tmp_path)])


def test_names_are_short_and_never_alike(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("a/run1/backbone", "b/run1", "run2/backbone"):
        (tmp_path / folder).mkdir(parents=True)
    sources = [
        "a/run1/backbone",
        "b/run1",
        "run2/backbone",
        "resnet18",
        "random",
        "random:resnet18",
    ]
    architectures = dict.fromkeys(sources, "resnet18")
    assert display_names(sources, architectures=architectures) == {
        "a/run1/backbone": "a/run1/backbone",
        "b/run1": "b/run1",
        "run2/backbone": "run2",
        "resnet18": "resnet18",
        "random": "random",
        "random:resnet18": "random:resnet18",
    }
    assert display_names(["run2"], architectures=architectures | {"run2": "x"}) == {"run2": "run2"}
    # A folder whose short name is another's full name.
    both = ["a/run1", "run1"]
    names = display_names(both, architectures=dict.fromkeys(both, "x"))
    assert len(set(names.values())) == 2
    (tmp_path / "latest").symlink_to(tmp_path / "run2")
    assert display_names(["latest"], architectures={"latest": "x"}) == {"latest": "run2"}


def test_the_command_compares_with_an_untrained_copy(make_images, run_folder, monkeypatch, capsys):
    """Names are looked up before anything is loaded, and this is none."""
    images = make_images()
    monkeypatch.chdir(images.parent)
    words = ["evaluate", str(images), "--no-linear", "--k", "3", "--workers", "0", "--backbone"]
    assert main([*words, str(run_folder), "random", "random:test_resnet"]) == 0
    assert main([*words, "random"]) == 2
    assert "--backbone random is an untrained copy" in capsys.readouterr().err
