import pytest

from vidmoco.cli.commands import COMMANDS
from vidmoco.cli.flags import _flags
from vidmoco.cli.main import main
from vidmoco.cli.synonyms import SYNONYMS
from vidmoco.config.commands import PretrainCommand


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (
            "pretrain v --method mocov2",
            "--method is no flag of vidmoco pretrain. Give --method.name.",
        ),
        ("pretrain v --backbone=resnet18", "Give --backbone.name."),
        (
            "preview v --arch resnet18",
            "--arch is no flag of vidmoco preview. Give --backbone.name.",
        ),
        ("extract v -o x --model resnet18", "Give --backbone."),
        ("extract v -o x --img_size 64", "Give --size."),
        ("pretrain v --img_size=64", "Give --augment.size."),
        ("pretrain v --lr 0.1", "Give --optim.lr."),
        ("pretrain v --output x", "Give --run."),
        ("pretrain v --amp --batch-size 8", "Give --precision bf16."),
        ("pretrain v --gpus 2", "Give --device for one, or start it by: torchrun --nproc"),
        ("scan v --num-workers 2", "Give --workers."),
        ("pretrain --data v", "Give the videos without a flag: videos/."),
    ],
)
def test_a_flag_of_another_tool_names_ours(words, advice, capsys):
    assert main(words.split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert advice in line


def test_flags_of_a_command_itself_are_never_meant(capsys):
    """Here --output is one, and another flag is wrong."""
    with pytest.raises(SystemExit):
        main(["extract", "v", "--output", "x", "--zzz", "3"])
    assert "Unrecognized options" in capsys.readouterr().err


def test_what_is_advised_is_there():
    known = {flag for one in COMMANDS.values() for flag, _ in _flags(one.settings)}
    ours = {flag for flag, _ in _flags(PretrainCommand)}
    for word, advice in SYNONYMS.items():
        firsts = {text.split()[0] for text in advice if text.startswith("-")}
        assert firsts <= known, word
        assert not firsts or firsts & ours or word == "--tau", word
