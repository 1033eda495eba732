"""Flags of other tools, and what they are called here."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path

_BACKBONE = ("--backbone.name", "--backbone")
_SIZE = ("--augment.size", "--size")
_WEIGHTS = (
    "--run RUN --resume to go on with a run, or --backbone.weights to start from weights",
    "--backbone",
)
_GPUS = ("--device for one, or start it by: torchrun --nproc-per-node N --no-python -- vidmoco",)
_RUN = ("--run", "--output")

SYNONYMS: dict[str, Sequence[str]] = {
    "--method": ("--method.name",),
    "--algorithm": ("--method.name",),
    "--backbone": ("--backbone.name",),
    "--model": _BACKBONE,
    "--model-name": _BACKBONE,
    "--arch": _BACKBONE,
    "-a": _BACKBONE,
    "--encoder": _BACKBONE,
    "--pretrained": ("--backbone.pretrained or --backbone.weights", "--backbone"),
    "--ckpt": _WEIGHTS,
    "--ckpt-path": _WEIGHTS,
    "--checkpoint": _WEIGHTS,
    "--resume-from": _WEIGHTS,
    "--optimizer": ("--optim.name",),
    "--optim": ("--optim.name",),
    "--opt": ("--optim.name",),
    "--learning-rate": ("--optim.lr",),
    "--lr": ("--optim.lr", "--finetune-lr"),
    "--blr": ("--optim.lr",),
    "--wd": ("--optim.weight-decay",),
    "--warmup": ("--optim.warmup-epochs",),
    "--schedule": ("--optim.schedule",),
    "--cos": ("--optim.schedule cosine",),
    "--clip-grad": ("--optim.clip-gradient",),
    "--grad-clip": ("--optim.clip-gradient",),
    "--accum-iter": ("--optim.accumulate",),
    "--gradient-accumulation-steps": ("--optim.accumulate",),
    "--image-size": _SIZE,
    "--img-size": _SIZE,
    "--input-size": _SIZE,
    "--crop-size": _SIZE,
    "--resolution": _SIZE,
    "--num-frames": ("--data.frames-per-video",),
    "-b": ("--batch-size",),
    "--bs": ("--batch-size",),
    "-j": ("--workers",),
    "--num-workers": ("--workers",),
    "--epoch": ("--epochs",),
    "--max-epochs": ("--epochs",),
    "--max-steps": ("--steps",),
    "--temperature": ("--method.tau", "--tau"),
    "--temp": ("--method.tau", "--tau"),
    "--moco-t": ("--method.tau",),
    "--moco-k": ("--method.queue-size",),
    "--moco-m": ("--method.momentum",),
    "--moco-dim": ("--method.dim",),
    "--mlp": ("--method.head mlp",),
    "--queue": ("--method.queue-size",),
    "--queue-length": ("--method.queue-size",),
    "--projection-dim": ("--method.dim",),
    "--gpus": _GPUS,
    "--gpu": ("--device cuda:N",),
    "--devices": _GPUS,
    "--num-gpus": _GPUS,
    "--nproc-per-node": _GPUS,
    "--accelerator": ("--device",),
    "--cpu": ("--device cpu",),
    "--no-cuda": ("--device cpu",),
    "--amp": ("--precision bf16",),
    "--fp16": ("--precision bf16",),
    "--bf16": ("--precision bf16",),
    "--mixed-precision": ("--precision",),
    "--wandb": ("--log wandb",),
    "--tensorboard": ("--log tensorboard",),
    "--mlflow": ("--log mlflow",),
    "--print-freq": ("--engine.log-every",),
    "--save-every": ("--engine.checkpoint-minutes or --engine.checkpoint-steps",),
    "--save-freq": ("--engine.checkpoint-minutes or --engine.checkpoint-steps",),
    "--knn": ("--monitor.images",),
    "--eval": ("--monitor.images",),
    "--val": ("--monitor.images",),
    "--out": _RUN,
    "--output": _RUN,
    "-o": _RUN,
    "--output-dir": _RUN,
    "--save-dir": _RUN,
    "--log-dir": _RUN,
    "--config": ("--recipe",),
    "-c": ("--recipe",),
    "--data": ("the videos without a flag: videos/",),
    "--data-dir": ("the videos without a flag: videos/",),
    "--videos": ("the videos without a flag: videos/",),
}
"""By the flag that people know: what to give, of which the first that a command has is named."""


def called_here(message: str, flags: Collection[str], *, command: str) -> str:
    """Return what the first unknown flag is called here, as a sentence, or "".

    It is another tool's, or one of ours with the section of another, or without its own.

    Args:
        message: of the parser, with the unrecognized options.
        flags: those that the command has, at least.
        command: as typed.
    """
    _, _, listed = message.partition("Unrecognized options:")
    listed, _, _ = listed.partition("Perhaps you meant")
    for word in re.split(r"[\s,│]+", listed):
        flag = word.partition("=")[0].replace("_", "-")
        for advice in SYNONYMS.get(flag, ()):
            first = advice.split()[0]
            if first in flags or not first.startswith("-"):
                return f"{flag} is no flag of {command}. Give {advice}."
        if flag.startswith("--") and (ours := _in_other_sections(flag, flags)):
            return f"{flag} is no flag of {command}. Give {' or '.join(ours)}."
    return ""


def as_a_flag(words: Sequence[str], flags: Collection[str], *, command: str) -> str:
    """Return what the first word that Hydra would take is here, as a sentence, or "".

    Such a word is ``data.batch_size=4``. It would be taken for a path.
    """
    for word in words:
        name, assigned, value = word.partition("=")
        ours = f"--{name.lstrip('+').replace('_', '-')}"
        if assigned and ours in flags and not word.startswith("-") and not Path(word).exists():
            return f"{word} is no argument of {command}. Give {ours} {value}."
    return ""


def _in_other_sections(flag: str, flags: Collection[str]) -> list[str]:
    """Return the flags of the same name in any section, or the one without a section."""
    name = flag.removeprefix("--").rpartition(".")[2]
    found = [
        one for one in flags if re.fullmatch(rf"--(?!config\.|limits\.)\w+\.{re.escape(name)}", one)
    ]
    return sorted(found) or [one for one in (f"--{name}",) if one in flags and one != flag]
