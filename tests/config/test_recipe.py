import contextlib
import dataclasses
import shlex
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from vidmoco.cli import flags
from vidmoco.config.augment import AugmentConfig
from vidmoco.config.commands import PretrainCommand
from vidmoco.config.data import DataConfig
from vidmoco.config.methods import METHOD_CONFIGS, MoCoConfig, SimCLRConfig
from vidmoco.config.optim import OptimConfig
from vidmoco.config.plain import to_plain
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.config.recipe import (
    changed_flags,
    changed_values,
    dump_recipe,
    load_recipe,
    parse_recipe,
    shipped_recipes,
    with_settings,
)
from vidmoco.errors import ConfigError


def parse(text):
    return parse_recipe(text, source="test.yaml")


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_shipped_recipe_loads_and_says_what_it_is(name):
    config = load_recipe(name)
    assert parse(dump_recipe(config)) == config
    text = shipped_recipes()[name].read_text()
    place = f"configs/{name}.yaml"
    assert text.startswith("# "), f"{place} has to begin with a comment that says what it is."
    command = f"--recipe {name}" in text or f"vidmoco {name}" in text
    assert command, f"The comment of {place} needs its command: … --recipe {name}"
    table = (Path(__file__).parents[2] / "README.md").read_text().partition("## Recipes")[2]
    assert f"`{name}`" in table.partition("\n\nA recipe")[0], (
        f"The table of recipes in README.md has no row of `{name}`."
    )


@pytest.mark.parametrize("name", shipped_recipes())
@pytest.mark.parametrize("method", METHOD_CONFIGS)
def test_every_method_comes_into_every_recipe(name, method):
    recipe = load_recipe(name)
    config = with_settings(recipe, {"method": method})
    own = type(recipe.method) is METHOD_CONFIGS[method]
    assert config.method == (recipe.method if own else METHOD_CONFIGS[method]())
    said = changed_flags(recipe, config)  # and no flag that the name brings with it
    assert said == ([] if own else [f"--method.name {method}"])


def test_what_only_the_other_method_uses_is_refused_where_it_is_asked_for():
    settings = {"method": "simclr", "optim": {"predictor_lr": 0.1}}
    with pytest.raises(ConfigError, match="simclr has no predictor"):
        with_settings(load_recipe("fast_moco"), settings)


# What the two kinds of MoCo v3 have in common.
MOCO_V3 = {
    "data.batch_size": 4096, "augment.size": 224, "augment.jitter_probability": 0.8,
    "augment.brightness": 0.4, "augment.contrast": 0.4, "augment.saturation": 0.2,
    "augment.hue": 0.1, "augment.grayscale_probability": 0.2, "augment.grayscale_first": False,
    "augment.blur_probability": 1.0,
    "augment.second_blur_probability": 0.1, "augment.blur_sigma": [0.1, 2.0],
    "augment.solarize_probability": 0.0, "augment.second_solarize_probability": 0.2,
    "augment.flip_probability": 0.5, "method.name": "moco_v3", "method.dim": 256,
    "method.hidden_dim": 4096, "method.momentum": 0.99, "method.momentum_schedule": "cosine",
    "optim.scale_lr": "linear", "optim.schedule": "cosine", "optim.update_every": "step",
}  # fmt: skip

SGD = {
    "optim.name": "sgd", "optim.scale_lr": "linear", "optim.decay_vectors": True,
    "optim.momentum": 0.9,
}  # fmt: skip
V1_VIEWS = {
    "augment.size": 224, "augment.crop_scale": [0.2, 1.0], "augment.grayscale_probability": 0.2,
    "augment.brightness": 0.4, "augment.contrast": 0.4, "augment.saturation": 0.4,
    "augment.flip_probability": 0.5,
}  # fmt: skip

# recipes.md of the papers: what each fixes, key by key.
PAPERS = {
    "moco_v1": {
        "epochs": 200, "data.batch_size": 256, "augment.size": 224,
        "augment.crop_scale": [0.2, 1.0],
        "augment.grayscale_probability": 0.2, "augment.grayscale_first": True,
        "augment.jitter_probability": 1.0, "augment.brightness": 0.4, "augment.contrast": 0.4,
        "augment.saturation": 0.4, "augment.hue": 0.4, "augment.blur_probability": 0.0,
        "augment.flip_probability": 0.5, "backbone.name": "resnet50",
        "backbone.zero_init_residual": False, "method.name": "moco", "method.head": "linear",
        "method.dim": 128, "method.queue_size": 65536, "method.momentum": 0.999, "method.tau": 0.07,
        "method.bn_splits": 8, "optim.lr": 0.03, "optim.momentum": 0.9, "optim.weight_decay": 1e-4,
        "optim.schedule": "step", "optim.milestones": [0.6, 0.8], "optim.warmup_epochs": 0.0,
        "optim.update_every": "epoch", **SGD,
    },
    "moco_v2": {
        "epochs": 200, "data.batch_size": 256, "augment.size": 224,
        "augment.crop_scale": [0.2, 1.0],
        "augment.grayscale_probability": 0.2, "augment.grayscale_first": False,
        "augment.jitter_probability": 0.8, "augment.brightness": 0.4, "augment.contrast": 0.4,
        "augment.saturation": 0.4, "augment.hue": 0.1, "augment.blur_probability": 0.5,
        "augment.blur_sigma": [0.1, 2.0], "augment.flip_probability": 0.5,
        "backbone.name": "resnet50", "backbone.zero_init_residual": False, "method.name": "moco",
        "method.head": "mlp", "method.dim": 128, "method.queue_size": 65536,
        "method.momentum": 0.999, "method.tau": 0.2, "method.bn_splits": 8, "optim.lr": 0.03,
        "optim.momentum": 0.9, "optim.weight_decay": 1e-4, "optim.schedule": "cosine",
        "optim.warmup_epochs": 0.0, "optim.update_every": "epoch", **SGD,
    },
    "moco_cifar": {
        "epochs": 200, "data.batch_size": 512, "augment.size": 32,
        "augment.crop_scale": [0.08, 1.0], "augment.jitter_probability": 0.8,
        "augment.brightness": 0.4, "augment.contrast": 0.4, "augment.saturation": 0.4,
        "augment.hue": 0.1, "augment.grayscale_probability": 0.2, "augment.grayscale_first": False,
        "augment.blur_probability": 0.0, "augment.flip_probability": 0.5,
        "backbone.name": "vidmoco_resnet18_32px", "backbone.zero_init_residual": False,
        "method.name": "moco", "method.head": "linear", "method.dim": 128,
        "method.queue_size": 4096, "method.momentum": 0.99, "method.tau": 0.1,
        "method.bn_splits": 8, "method.symmetric": False, "optim.lr": 0.06 * 256 / 512,
        "optim.weight_decay": 5e-4, "optim.schedule": "cosine",
        "optim.warmup_epochs": 0.0, "optim.update_every": "epoch", **SGD,
    },
    "moco_v3_resnet50": {
        "epochs": 100, "augment.crop_scale": [0.2, 1.0], "backbone.name": "resnet50",
        "backbone.zero_init_residual": True, "method.projector_layers": 2,
        "method.predictor_norm": False, "method.tau": 1.0, "optim.name": "lars", "optim.lr": 0.6,
        "optim.momentum": 0.9, "optim.weight_decay": 1e-6, "optim.decay_vectors": False,
        "optim.trust_coefficient": 0.001, "optim.warmup_epochs": 10, **MOCO_V3,
    },
    **{
        f"moco_v3_vit_{size}": {
            "epochs": 300, "augment.crop_scale": [0.08, 1.0],
            "backbone.name": f"vidmoco_vit_{size}_moco_v3", "backbone.freeze_patches": True,
            "method.projector_layers": 3, "method.predictor_norm": True, "method.tau": 0.2,
            "optim.name": "adamw", "optim.lr": 1.5e-4, "optim.weight_decay": 0.1,
            "optim.decay_vectors": True, "optim.warmup_epochs": 40, **MOCO_V3,
        }
        for size in ("small", "base")
    },
    "fast_moco": {
        "epochs": 100, "data.batch_size": 512, "augment.size": 224,
        "augment.crop_scale": [0.2, 1.0], "augment.jitter_probability": 0.8,
        "augment.brightness": 0.4, "augment.contrast": 0.4, "augment.saturation": 0.4,
        "augment.grayscale_probability": 0.2, "augment.flip_probability": 0.5,
        "augment.hue": 0.1, "augment.grayscale_first": False, "augment.blur_probability": 0.5,
        "augment.blur_sigma": [0.1, 2.0], "backbone.name": "resnet50",
        "backbone.zero_init_residual": True, "method.name": "fast_moco", "method.divide": 2,
        "method.combine": 2,
        "method.dim": 2048, "method.hidden_dim": 2048, "method.predictor_hidden_dim": 512,
        "method.momentum": 0.99, "method.momentum_schedule": "constant", "method.tau": 1.0,
        "optim.name": "sgd", "optim.lr": 0.1 * 256 / 512, "optim.scale_lr": "linear",
        "optim.momentum": 0.9, "optim.weight_decay": 1e-4, "optim.decay_vectors": True,
        "optim.predictor_lr": 0.1, "optim.clip_gradient": 1.0, "optim.schedule": "cosine",
        "optim.warmup_epochs": 1, "optim.warmup_start": 0.025 / 0.1, "optim.update_every": "step",
    },
    "simclr": {
        "epochs": 100, "data.batch_size": 4096, "augment.size": 224,
        "augment.crop_scale": [0.08, 1.0], "augment.jitter_probability": 0.8,
        "augment.brightness": 0.8, "augment.contrast": 0.8, "augment.saturation": 0.8,
        "augment.hue": 0.2, "augment.grayscale_probability": 0.2, "augment.grayscale_first": False,
        "augment.blur_probability": 0.5, "augment.blur_sigma": [0.1, 2.0],
        "augment.flip_probability": 0.5, "backbone.zero_init_residual": True,
        "backbone.name": "resnet50", "method.name": "simclr", "method.dim": 128,
        "method.projector_layers": 2, "method.tau": 0.1, "optim.name": "lars", "optim.lr": 0.3,
        "optim.scale_lr": "linear", "optim.momentum": 0.9, "optim.trust_coefficient": 0.001,
        "optim.weight_decay": 1e-6, "optim.decay_vectors": False, "optim.schedule": "cosine",
        "optim.warmup_epochs": 10, "optim.update_every": "step",
    },
    "inst_disc": {
        "epochs": 200, "data.batch_size": 256, "data.single_frame": True,
        "augment.grayscale_first": True, "optim.warmup_epochs": 0.0,
        "augment.jitter_probability": 1.0, "augment.hue": 0.4, "augment.blur_probability": 0.0,
        "backbone.name": "resnet50", "method.name": "memory_bank", "method.loss": "nce",
        "method.dim": 128, "method.num_negatives": 4096, "method.momentum": 0.5,
        "method.tau": 0.07, "optim.lr": 0.03, "optim.weight_decay": 1e-4,
        "optim.schedule": "step", "optim.milestones": [0.6, 0.8], "optim.update_every": "epoch",
        "backbone.zero_init_residual": False, **V1_VIEWS, **SGD,
    },
    "end_to_end": {
        "epochs": 200, "data.batch_size": 1024, "augment.grayscale_first": True,
        "optim.warmup_epochs": 0.0,
        "augment.jitter_probability": 1.0, "augment.hue": 0.4, "augment.blur_probability": 0.0,
        "backbone.name": "resnet50", "method.name": "end_to_end", "method.dim": 128,
        "method.tau": 0.07, "optim.lr": 0.03, "optim.weight_decay": 1e-4,
        "optim.schedule": "step", "optim.milestones": [0.6, 0.8], "optim.update_every": "epoch",
        "method.bn_splits": 8, "backbone.zero_init_residual": False, **V1_VIEWS, **SGD,
    },
}  # fmt: skip


OURS = {"data.short_side"}  # of the frames that views are cut from: images have none


def flat(plain):
    """The keys of a recipe with their values, ``{"epochs": 100, "optim.lr": 0.3, ...}``."""
    keys = {}
    for key, value in plain.items():
        inner = value if isinstance(value, dict) else {}
        keys |= {f"{key}.{name}": number for name, number in inner.items()} or {key: value}
    return keys


@pytest.mark.parametrize("name", PAPERS)
def test_paper_recipes_hold_the_papers_values_and_state_each(name):
    used = flat(to_plain(load_recipe(name)))
    stated = flat(yaml.safe_load(shipped_recipes()[name].read_text()))
    for key, value in PAPERS[name].items():
        assert used[key] == value, key
        assert key in stated, f"{key} is not stated in the recipe"
    assert set(stated) - set(PAPERS[name]) == OURS


probability = st.floats(0, 1)


@given(st.data())
def test_config_to_yaml_to_config_is_the_identity(data):
    def draw(strategy):
        return data.draw(strategy)

    gap = draw(st.floats(0, 100))
    paths = draw(st.lists(st.sampled_from(["a", "/b/c", "ü 1"]), max_size=2))
    milestones = draw(st.lists(st.floats(0.01, 0.99), max_size=3))
    config = PretrainConfig(
        videos=tuple(Path(path) for path in paths),
        seed=draw(st.integers(0, 2**63 - 1)),
        epochs=draw(st.floats(1e-3, 1e6)),
        steps=draw(st.none() | st.integers(1, 10**9)),
        data=DataConfig(
            batch_size=16 * draw(st.integers(1, 100)),
            min_gap=gap,
            max_gap=draw(st.none() | st.floats(gap, 1e6)),
            single_frame=draw(st.booleans()),
        ),
        augment=AugmentConfig(
            solarize_probability=draw(probability),
            second_blur_probability=draw(st.none() | probability),
            second_solarize_probability=draw(st.none() | probability),
            shared=tuple(draw(st.lists(st.sampled_from(["crop", "flip"]), unique=True))),
            small_crops=draw(st.integers(0, 16)),
        ),
        method=MoCoConfig(tau=draw(st.floats(1e-5, 1e5)), momentum=draw(probability)),
        optim=OptimConfig(lr=draw(st.floats(1e-12, 1e3)), milestones=tuple(sorted(milestones))),
    )
    assert parse(dump_recipe(config)) == config


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
keys = st.sampled_from(["data", "optim", "seed", "videos", "epochs", "lr", "batch_size", "name"])


@given(
    st.dictionaries(keys | st.text(max_size=5), values | st.dictionaries(keys, values, max_size=3))
)
def test_nothing_but_a_config_error_comes_out_of_odd_yaml(data):
    try:
        parse(yaml.safe_dump(data))
    except ConfigError as error:
        assert "test.yaml" in str(error)


@given(st.text(max_size=60))
def test_nothing_but_a_config_error_comes_out_of_odd_text(text):
    with contextlib.suppress(ConfigError):
        parse(text)


def test_lists_of_names_and_numbers_that_may_be_none():
    augment = parse(
        "augment: {shared: [flip, crop], second_blur_probability: 0.1, "
        "second_solarize_probability: null, small_crops: 16}"
    ).augment
    assert augment.shared == ("flip", "crop")
    assert augment.second_blur_probability == 0.1
    assert augment.second_solarize_probability is None
    assert augment.small_crops == 16
    assert parse("augment: {shared: []}").augment.shared == ()


def test_numbers_that_yaml_reads_as_text_are_numbers():
    assert parse("optim: {lr: 1e-4}").optim.lr == 1e-4
    assert parse("epochs: 3").epochs == 3.0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("methud: {}", ["'methud'", "Did you mean 'method'?"]),
        ("optim: {lrr: 1}", ["'optim.lrr'", "Did you mean 'lr'?"]),
        ("optim: {lr: fast}", ["'optim.lr'", "'fast'", "a number"]),
        ("optim: {lr: .nan}", ["'optim.lr'", "a number"]),
        ("optim: {lr: -1}", ["--optim.lr", "greater than 0"]),
        ("data: {batch_size: 2.5}", ["'data.batch_size'", "a whole number"]),
        ("data: {single_frame: 1}", ["'data.single_frame'", "true or false"]),
        ("data: 3", ["'data'", "a mapping"]),
        ("[1, 2]", ["a mapping"]),
        ("method: {head: conv}", ["'method.head'", "'linear', 'mlp'"]),
        ("augment: {crop_scale: [0.2]}", ["'augment.crop_scale'", "2 values"]),
        ("augment: {shared: [colour]}", ["'augment.shared'", "one of 'crop', 'flip'"]),
        (
            "augment: {shared: {crop: true}}",
            ["'augment.shared'", "a list, each item one of 'crop', 'flip'"],
        ),
        ("augment: {shared: crops}", ["'augment.shared'", "one of 'crop', 'flip'"]),
        ("augment: {shared: [crop, crop]}", ["--augment.shared", "each of them once"]),
        ("augment: {second_blur_probability: often}", ["second_blur_probability", "a number"]),
        ("augment: {second_blur_probability: 1.1}", ["--augment.second-blur-pro", "None or from"]),
        ("augment: {second_solarize_probability: -0.1}", ["--augment.second-solarize", "None or"]),
        ("augment: {solarize_probability: 1.1}", ["--augment.solarize-probability", "from 0 to 1"]),
        ("augment: {small_crops: 17}", ["--augment.small-crops", "from 0 to 16"]),
        ("augment: {small_crops: -1}", ["--augment.small-crops", "from 0 to 16"]),
        ("augment: {small_size: 7}", ["--augment.small-size", "at least 8 pixels"]),
        (
            "augment: {small_crop_scale: [0.2, 0.1]}",
            ["--augment.small-crop-scale", "two fractions"],
        ),
        ("seed: 1\nseed: 2", ["'seed'", "twice"]),
        ("1: 2", ["not text"]),
        ("a: [", ["not valid YAML"]),
        ("seed: !!python/object/apply:os.getcwd []", ["not valid YAML"]),
        ("data: {batch_size: 30}\nmethod: {bn_splits: 8}", ["--data.batch-size", "multiple"]),
    ],
)
def test_a_wrong_recipe_is_refused_by_name(text, words):
    with pytest.raises(ConfigError) as caught:
        parse(text)
    for word in ["test.yaml", *words]:
        assert word in str(caught.value)


def test_an_unknown_recipe_names_the_nearest():
    with pytest.raises(ConfigError, match=r"'moco_v3'.*Did you mean 'moco_v"):
        load_recipe("moco_v3")
    with pytest.raises(ConfigError, match="There is no recipe file"):
        load_recipe("there/is/none.yaml")


def test_differences_name_keys():
    config = PretrainConfig()
    other = dataclasses.replace(config, seed=1, optim=OptimConfig(lr=0.5))
    assert changed_values(config, other) == {"optim.lr": (0.03, 0.5), "seed": (0, 1)}
    assert changed_values(config, config) == {}


def test_a_recipe_in_another_encoding_or_too_large(tmp_path):
    path = tmp_path / "a.yaml"
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        path.write_text("seed: 3 # é", encoding=encoding)
        assert load_recipe(str(path)).seed == 3
    path.write_text("seed: 3 # é", encoding="latin-1")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        load_recipe(str(path))
    path.write_bytes(b"#" * (2**20 + 1))
    with pytest.raises(ConfigError, match="has more than 1,048,576 bytes"):
        load_recipe(str(path))


@pytest.mark.parametrize(
    ("recipe", "settings", "expected"),
    [
        ("vidmoco", {}, (4, 4)),
        ("vidmoco", {"data": {"frames_per_video": 2}}, (2, 2)),
        ("vidmoco", {"augment": {"large_views": 3}}, (3, 3)),
        ("vidmoco", {"data": DataConfig(batch_size=8)}, (2, 2)),
        ("vidmoco", {"data": {"frames_per_video": 2}, "augment": {"large_views": 4}}, (2, 4)),
        ("vidmoco", {"method": "simclr"}, (2, 2)),
        ("vidmoco", {"method": {"name": "fast_moco"}}, (4, 4)),
        ("moco_v2", {"augment": {"large_views": 4}}, (2, 4)),  # two crops of each frame
        ("moco_v2", {"data": {"frames_per_video": 4}, "augment": {"small_crops": 2}}, (4, 2)),
    ],
)
def test_views_go_with_frames_where_the_recipe_shows_each_frame_once(recipe, settings, expected):
    before = load_recipe(recipe)
    config = with_settings(before, settings)
    assert (config.data.frames_per_video, config.augment.large_views) == expected
    words = [word for flag in changed_flags(before, config) for word in shlex.split(flag)]
    command = flags.parse(PretrainCommand, ["v", "--recipe", recipe, *words], prog="vidmoco")
    assert dataclasses.replace(command.config, videos=()) == config


def test_a_recipe_may_begin_with_another(tmp_path):
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "ours.yaml").write_text("recipe: vidmoco\noptim: {lr: 1.0e-3}\nsteps: 7\n")
    (tmp_path / "mine.yaml").write_text("recipe: lab/ours.yaml\naugment: {size: 48}\nsteps: 8\n")
    default, mine = load_recipe("vidmoco"), load_recipe(tmp_path / "mine.yaml")
    changed = changed_values(mine, default)
    assert {name: value for name, (value, _) in changed.items()} == {
        "optim.lr": 1e-3, "steps": 8, "augment.size": 48,
    }  # fmt: skip
    (tmp_path / "other.yaml").write_text("recipe: vidmoco\nmethod: {name: simclr}\n")
    assert load_recipe(tmp_path / "other.yaml").method == SimCLRConfig()
    (tmp_path / "empty.yaml").write_text("recipe: lab/ours.yaml\n")
    assert load_recipe(tmp_path / "empty.yaml") == load_recipe(tmp_path / "lab" / "ours.yaml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "recipe: vidmoko",
            r"a\.yaml: Unknown recipe 'vidmoko'\. Did you mean 'vidmoco'",
        ),
        ("recipe: a.yaml", r"begins with itself: .*a\.yaml -> .*a\.yaml\."),
        ("recipe: b.yaml", r"There is no recipe file .*b\.yaml"),
        ("recipe: 3", "The recipe is of type int"),
        ("recipe: vidmoco\noptim: {rate: 1}", r"unknown key 'optim\.rate'"),
        ("recipe: vidmoco\noptim: 3", "'optim' is 3"),
    ],
)
def test_a_recipe_that_it_cannot_begin_with(tmp_path, text, words):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ConfigError, match=words):
        load_recipe(tmp_path / "a.yaml")


def test_dotted_names_as_a_recipe_and_a_sweep_have_them():
    config = parse_recipe("data.batch_size: 64\noptim: {lr: 0.5}\noptim.momentum: 0.5", source="x")
    assert (config.data.batch_size, config.optim.lr, config.optim.momentum) == (64, 0.5, 0.5)
    swept = {"method.name": "simclr", "optim.lr": 0.1, "backbone": "resnet34"}
    config = with_settings(config, swept)
    assert (config.data.batch_size, config.optim.lr, config.optim.momentum) == (64, 0.1, 0.5)
    assert (config.method.name, config.backbone.name) == ("simclr", "resnet34")
    with pytest.raises(ConfigError, match="'batch_size' is given, and in 'data' too"):
        with_settings(config, {"batch_size": 4, "data.batch_size": 8})
    with pytest.raises(ConfigError, match=r"Recipe x: 'data\.batch_size' is given twice"):
        parse_recipe("data.batch_size: 4\ndata: {batch_size: 4}", source="x")
