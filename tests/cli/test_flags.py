import shlex

import pytest

from vidmoco.cli.flags import parse
from vidmoco.cli.main import main
from vidmoco.config.commands import PretrainCommand, PreviewCommand
from vidmoco.config.extract import ExtractCommand
from vidmoco.config.methods import METHOD_CONFIGS, MoCoConfig, SimCLRConfig
from vidmoco.config.recipe import changed_flags, fitted_to, load_recipe
from vidmoco.errors import ConfigError


def pretrain(*words):
    """The settings of a training with these flags."""
    return parse(PretrainCommand, words, prog="vidmoco pretrain").config


def test_a_flag_overrides_the_recipe_wherever_it_stands():
    for words in (
        ["v", "--recipe", "moco_v1", "--optim.lr", "0.5"],
        ["--optim.lr", "0.5", "--recipe=moco_v1", "v"],
    ):
        config = pretrain(*words)
        assert (config.optim.lr, config.method.tau, config.method.head) == (0.5, 0.07, "linear")


def test_lists_of_names_and_numbers_that_may_be_none():
    words = ["v", "--augment.shared", "crop", "flip", "--augment.second-blur-probability", "0.1"]
    augment = pretrain(*words).augment
    assert augment.shared == ("crop", "flip")
    assert augment.second_blur_probability == 0.1
    words = ["--augment.second-blur-probability", "None", "--augment.shared", "flip"]
    augment = pretrain("v", *words).augment
    assert augment.second_blur_probability is None
    assert augment.shared == ("flip",)


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("--device cpu", "--engine.device cpu"),
        ("--precision fp32", "--engine.precision fp32"),
        ("--batch-size 64", "--data.batch-size 64"),
        ("--workers 3", "--data.workers 3"),
        ("--single-frame", "--data.single-frame"),
        ("--monitor images", "--monitor.images images"),
        ("--batch_size=64", "--data.batch_size=64"),
    ],
)
def test_a_short_name_is_the_setting_of_its_section(short, long):
    given = pretrain("v", *short.split())
    assert given == pretrain("v", *long.split()) != pretrain("v")


def test_settings_that_the_help_leaves_out_have_their_flags():
    words = """v --max-pixels 9 --max-duration 8 --max-frames 7 --max-memory-per-worker 6
        --max-seconds 5 --follow-links --data.block-gib 4 --augment.grayscale-first
        --augment.blur-sigma 1 2 --augment.solarize-probability 0.1
        --augment.second-blur-probability 0.2 --augment.second-solarize-probability 0.3
        --augment.small-size 32 --augment.small-crop-scale 0.1 0.2
        --backbone.no-zero-init-residual --backbone.freeze-patches --optim.no-decay-vectors
        --optim.trust-coefficient 0.4 --optim.predictor-lr 0.5 --optim.clip-gradient 0.6
        --optim.milestones 0.1 0.7 --optim.warmup-start 0.8 --optim.update-every epoch
        --engine.no-channels-last --engine.compile --engine.cuda-graphs --engine.log-every 11
        --engine.keep-checkpoints 12 --monitor.distances 1 2 --monitor.videos 13 --monitor.seed 14
        --monitor.precision bf16 --monitor.batch-size 15 --monitor.max-gib 16
        --method.name moco_v3"""
    given, usual = pretrain(*words.split()), pretrain("v", "--method.name", "moco_v3")
    for section, hidden in {
        "limits": ["max_pixels", "max_duration", "max_frames", "max_memory_per_worker"],
        "data": ["block_gib"],
        "augment": ["grayscale_first", "blur_sigma", "small_size", "small_crop_scale"],
        "backbone": ["zero_init_residual", "freeze_patches"],
        "optim": ["decay_vectors", "trust_coefficient", "milestones", "update_every"],
        "engine": ["channels_last", "cuda_graphs", "log_every", "keep_checkpoints"],
        "monitor": ["distances", "videos", "seed", "precision", "batch_size", "max_gib"],
    }.items():
        for name in hidden:
            one, other = (getattr(getattr(config, section), name) for config in (given, usual))
            assert one != other, name


@pytest.mark.parametrize("recipe", ["vidmoco", "moco_v2", "moco_v3_vit_small", "fast_moco"])
@pytest.mark.parametrize("name", METHOD_CONFIGS)
def test_a_method_comes_into_any_recipe_with_its_own_defaults(recipe, name):
    given, of_recipe = (
        pretrain("v", "--recipe", recipe, *more, "--seed", "7", "--method.dim", "32")
        for more in ([f"--method.name={name}"], [])
    )
    assert type(given.method) is METHOD_CONFIGS[name]
    if type(of_recipe.method) is type(given.method):
        assert given == of_recipe  # the recipe's own settings of its method stay
    else:
        assert given.method == METHOD_CONFIGS[name](dim=32)
        of_recipe = fitted_to(type(given.method), of_recipe)
    if not given.method.TAKES_MORE_VIEWS:
        assert given.augment.large_views == given.data.frames_per_video == 2
    for section in ("data", "augment", "backbone", "optim", "engine", "seed", "epochs"):
        assert getattr(given, section) == getattr(of_recipe, section)


def test_settings_of_the_method_that_is_named_are_flags():
    words = ["v", "--recipe", "simclr_small", "--method.name", "moco"]
    given = pretrain(*words, "--method.queue-size", "4096")
    assert given.method == MoCoConfig(queue_size=4096)
    assert given.data.batch_size == 128
    given = pretrain("v", "--recipe", "moco_v2", "--method.name", "simclr", "--method.dim", "64")
    assert given.method == SimCLRConfig(dim=64)


def test_a_recipe_that_does_not_fit_a_method_may_be_made_to_fit(tmp_path, capsys):
    mine = tmp_path / "mine.yaml"
    mine.write_text("data: {batch_size: 100}\nmethod: {name: simclr}")
    words = ["v", "--recipe", str(mine), "--method.name", "moco"]
    assert main(["pretrain", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--data.batch-size is 100; it must be a multiple of" in line
    assert "The recipe is for simclr. Recipes for moco: " in line and "moco_v2" in line
    assert pretrain(*words, "--method.bn-splits", "1").method == MoCoConfig(bn_splits=1)


def test_advice_is_given_where_the_recipe_is_at_fault():
    with pytest.raises(ConfigError, match=r"--data.batch-size is 100") as refused:
        pretrain("v", "--recipe", "simclr_small", "--method.name", "moco", "--batch-size", "100")
    assert "Recipes for" not in str(refused.value)


def test_a_method_that_is_none(capsys):
    assert main(["pretrain", "v", "--method.name", "mocco"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--method.name is 'mocco'. Did you mean 'moco'? Expected one of moco, moco_v3," in line


def test_a_method_in_a_recipe_of_ones_own(tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("method: {name: moco_v3}")
    given = pretrain("v", "--recipe", str(mine), "--method.hidden-dim", "512")
    assert given.method == METHOD_CONFIGS["moco_v3"](hidden_dim=512)


def test_of_a_flag_given_twice_the_last_counts():
    assert pretrain("v", "--seed", "1", "--seed=2").seed == 2
    assert pretrain("v", "--batch-size", "64", "--data.batch-size", "32").data.batch_size == 32
    assert pretrain("v", "--data.batch-size", "32", "--batch-size", "64").data.batch_size == 64


@pytest.mark.parametrize(
    "words", ["pretrain v --recipe", "pretrain v --method.name", "pretrain v --run"]
)
def test_a_flag_without_its_value(capsys, words):
    with pytest.raises(SystemExit) as exit_:
        main(words.split())
    assert exit_.value.code == 2
    assert f"Missing value for argument '{words.split()[-1]}'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("pretrain v --engine.devize cpu", "--device, --engine.device"),
        ("pretrain v --optim.weigth-decay 0.1", "--optim.weight-decay"),
        ("pretrain v --data.block-gb 1", "--data.block-gib"),  # hidden, and told all the same
        ("extract v -o x --devize cpu", "--device"),
    ],
)
def test_an_unknown_flag_names_the_nearest(capsys, words, expected):
    with pytest.raises(SystemExit) as exit_:
        main(words.split())
    assert exit_.value.code == 2
    error = capsys.readouterr().err
    assert "Unrecognized options" in error and expected in error


@pytest.mark.parametrize(
    "words",
    [
        "evaluate i --backbone a --backbone b",
        "evaluate i --backbone a --k 1 --k 2",
        "extract v -o f --times 1 --times 2",
        "pretrain v --optim.milestones 0.5 --optim.milestones 0.6",
    ],
)
def test_a_flag_of_several_values_is_given_once(words, capsys):
    """Else the first values were dropped without a word."""
    flag = next(word for word in words.split() if words.split().count(word) == 2)
    assert main(words.split()) == 2
    assert (
        f"{flag} is given 2 times. Give all its values once: {flag} A B" in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    "words, place",
    [
        (["pretrain", ""], ""),
        (["pretrain", "v", ""], " after v"),
        (["scan", "v", "--limits.max-pixels", ""], " after --limits.max-pixels"),
        (["extract", "v", "-o", ""], " after -o"),
        (["extract", "v", "--output="], " after --output"),
    ],
)
def test_an_empty_argument_is_not_the_current_folder(words, place, capsys):
    """As of a shell's variable that is not set."""
    assert main(words) == 2
    assert f"vidmoco: An argument is empty{place}. Is a variable" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("gpu", "words", "recipe"),
    [
        (False, "", "vidmoco"),
        (True, "", "vidmoco_gpu"),
        (True, "--device cpu", "vidmoco"),
        (True, "--engine.device=cpu", "vidmoco"),
        (False, "--device cuda:1", "vidmoco_gpu"),
        (True, "--recipe tiny_cpu", "tiny_cpu"),
    ],
)
def test_the_recipe_is_chosen_by_the_device_where_none_is_given(monkeypatch, gpu, words, recipe):
    monkeypatch.setattr("vidmoco.config.recipe.sees_gpu", lambda: gpu)
    for settings in (PretrainCommand, PreviewCommand):
        command = parse(settings, ["v", *words.split()], prog="vidmoco")
        assert command.recipe == recipe
        assert command.config.backbone == load_recipe(recipe).backbone


@pytest.mark.parametrize(
    "flags",
    [
        "--data.single-frame --monitor.retrieval",
        "--augment.crop-scale 0.5 1 --engine.log tensorboard wandb",
        "--backbone.no-zero-init-residual --method.no-batch-negatives --method.queue-from 0",
        "--data.max-gap None --monitor.images 'my images'",
        "--max-pixels 100 --follow-links",
        "--steps 5 --method.name simclr --method.tau 0.5",
    ],
)
def test_what_differs_from_a_recipe_is_said_in_flags(flags):
    config = pretrain("v", "--recipe", "vidmoco", *shlex.split(flags))
    said = shlex.split(" ".join(changed_flags(load_recipe("vidmoco"), config)))
    assert sorted(said) == sorted(shlex.split(flags))
    assert pretrain("v", "--recipe", "vidmoco", *said) == config


def test_times_of_a_video_as_players_write_them(capsys):
    words = ["v", "-o", "f", "--times", "1.5", "0:02", "1:00:00.5", "--start", "0:01"]
    frames = parse(ExtractCommand, words, prog="vidmoco extract").frames
    assert frames.times == (1.5, 2.0, 3600.5) and frames.start == 1.0 and frames.end is None
    words = ["v", "-o", "f", "--start", "3", "--end", "1:30"]
    frames = parse(ExtractCommand, words, prog="vidmoco extract").frames
    assert (frames.start, frames.end) == (3.0, 90.0)
    for wrong in ("0:60", "soon", "nan", "-1"):
        try:
            assert main(["extract", "v", "-o", "f", f"--start={wrong}"]) == 2
        except SystemExit as exit_:
            assert exit_.code == 2
        assert "start" in capsys.readouterr().err
