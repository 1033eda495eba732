import re

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
        ("pretrain v --moco-m 0.99", "Give --method.momentum."),
        ("pretrain v --moco-t 0.2", "Give --method.tau."),
        ("pretrain v --moco-k 65536", "Give --method.queue-size."),
        ("pretrain v --moco-dim 128", "Give --method.dim."),
        ("pretrain v --mlp --cos", "Give --method.head mlp."),
        ("pretrain v --wd 1e-4", "Give --optim.weight-decay."),
        ("pretrain v --max-steps 9", "Give --steps."),
        ("pretrain v --max-epochs 9", "Give --epochs."),
        ("scan v --num-workers 2", "Give --workers."),
        ("pretrain v --engine.steps 9", "Give --steps."),
        ("pretrain v --tau=0.1", "Give --method.tau or --monitor.tau."),
        ("pretrain v --weight-decay 0.1", "Give --optim.weight-decay."),
        ("pretrain v --engin.device cpu", "Give --engine.device."),
        ("pretrain v --optim.queue_size 9", "Give --method.queue-size."),
        ("preview v --data.crop-scale 0.2 1", "Give --augment.crop-scale."),
        ("extract v -o x --data.workers 2", "Give --workers."),
        ("extract v -o x --limits.max-pixels 2", "Give --max-pixels."),
        ("pretrain v data.batch_size=4", "Give --data.batch-size 4."),
        ("pretrain v --steps 2 +optim.lr=.1", "Give --optim.lr .1."),
        ("pretrain v steps=4", "Give --steps 4."),
        ("pretrain --data v", "Give the videos without a flag: videos/."),
    ],
)
def test_a_flag_of_another_tool_names_ours(words, advice, capsys):
    assert main(words.split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert advice in line


def test_flags_of_a_command_itself_are_never_meant(capsys):
    """Here --output is one, also as -o, and the parser proposes both for another flag."""
    with pytest.raises(SystemExit):
        main(["extract", "v", "--output", "x", "--outpu", "3"])
    assert re.search("Unrecognized options: --outpu, (?s:.*) -o, --output", capsys.readouterr().err)


def test_what_is_advised_is_there():
    known = {flag for one in COMMANDS.values() for flag, _ in _flags(one.settings)}
    ours = {flag for flag, _ in _flags(PretrainCommand)}
    for word, advice in SYNONYMS.items():
        text = " ".join(one.partition("torchrun")[0] for one in advice)  # which has its own flags
        advised = set(re.findall(r"--[a-z][\w.-]*", text))
        assert advised <= known, word
        assert not advised or advised & ours, word
