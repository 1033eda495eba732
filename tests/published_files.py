"""Checkpoints with the keys, shapes and containers of other tools, made of random weights.

Each function returns what the tool's file holds and the network whose features it should give.
Networks are made once a process, and each test gets a copy.
"""

import argparse
import copy
import functools
from itertools import pairwise

import timm
import torch
import torchvision
from torch import nn

import vidmoco.backbones.registry  # noqa: F401  (timm knows them then)


def _random(model):
    """Give each tensor values of its own, as training would, statistics of batch norms too."""
    generator = torch.Generator().manual_seed(1)
    for name, tensor in model.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2, generator=generator)
        elif tensor.is_floating_point() and not name.endswith("pos_embed"):
            tensor.add_(torch.randn(tensor.shape, generator=generator), alpha=0.02)
    return model.eval()


@functools.cache
def _made(make, **options):
    """A network with random weights, made once a process."""
    return _random(make(**options))


def resnet(name="resnet18"):
    model = copy.deepcopy(_made(getattr(torchvision.models, name)))
    model.fc = nn.Identity()
    return model


def transformer(name="vit_small_patch16_224", **options):
    """A copy: tests write into it."""
    return copy.deepcopy(_made(timm.create_model, model_name=name, num_classes=0, **options))


def _mlp(*widths):
    layers = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _with_head(trunk, name, head):
    """The state dict of an encoder whose last layer ``name`` is the projector."""
    return trunk.state_dict() | {f"{name}.{key}": v for key, v in head.state_dict().items()}


def prefixed(state, prefix):
    return {prefix + key: tensor for key, tensor in state.items()}


def _as_sequence(model, *, skip=("fc",)):
    """The state dict of nn.Sequential(*children), as Fast-MoCo and lightly's tutorials build it."""
    children = [child for name, child in model.named_children() if name not in skip]
    return nn.Sequential(*children).state_dict()


def moco_v1(name="resnet18"):
    trunk = resnet(name)
    encoder = _with_head(trunk, "fc", nn.Linear(512, 128))
    state = prefixed(encoder, "module.encoder_q.") | prefixed(encoder, "module.encoder_k.")
    state |= {"module.queue": torch.randn(128, 64), "module.queue_ptr": torch.zeros(1).long()}
    return {"epoch": 200, "arch": name, "state_dict": state, "optimizer": {"state": {}}}, trunk


def moco_v2(name="resnet50"):
    trunk = resnet(name)
    encoder = _with_head(trunk, "fc", _mlp(2048, 2048, 128))
    key = {name: tensor + 1 for name, tensor in encoder.items()}
    state = prefixed(encoder, "module.encoder_q.") | prefixed(key, "module.encoder_k.")
    state |= {"module.queue": torch.randn(128, 64), "module.queue_ptr": torch.zeros(1).long()}
    return {"epoch": 200, "arch": name, "state_dict": state, "optimizer": {"state": {}}}, trunk


def moco_cifar_demo():
    """The authors' notebook: a 3 x 3 stem, no pool, one nn.Sequential called net."""
    trunk = _random(timm.create_model("vidmoco_resnet18_32px", num_classes=0))
    kept = [m for n, m in trunk.named_children() if n not in ("maxpool", "global_pool", "fc")]
    net = nn.Sequential(*kept, nn.AdaptiveAvgPool2d(1), nn.Flatten(1), nn.Linear(512, 128))
    state = prefixed(net.state_dict(), "encoder_q.net.") | prefixed(
        net.state_dict(), "encoder_k.net."
    )
    state |= {"queue": torch.randn(128, 64), "queue_ptr": torch.zeros(1).long()}
    return {"epoch": 200, "state_dict": state, "optimizer": {"state": {}}}, trunk


def moco_v3_resnet():
    trunk = resnet()
    head = nn.Sequential(
        nn.Linear(512, 64, bias=False), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 32, bias=False)
    )
    encoder = _with_head(trunk, "fc", head)
    state = prefixed(encoder, "module.base_encoder.")
    state |= prefixed({n: t + 1 for n, t in encoder.items()}, "module.momentum_encoder.")
    state |= prefixed(_mlp(32, 64, 32).state_dict(), "module.predictor.")
    return {"epoch": 300, "arch": "resnet18", "state_dict": state, "scaler": {}}, trunk


def moco_v3_vit():
    trunk = transformer("vidmoco_vit_small_moco_v3")
    encoder = _with_head(trunk, "head", _mlp(384, 64, 32))
    state = prefixed(encoder, "module.base_encoder.")
    state |= prefixed({n: t + 1 for n, t in encoder.items()}, "module.momentum_encoder.")
    state |= prefixed(_mlp(32, 64, 32).state_dict(), "module.predictor.")
    return {"epoch": 300, "arch": "vit_small", "state_dict": state}, trunk


def moco_v3_deit():
    """The authors' conversion for DeiT: timm's names, and nothing that says MoCo."""
    trunk = transformer("vidmoco_vit_small_moco_v3")
    return {"model": trunk.state_dict()}, trunk


def fast_moco():
    trunk = resnet()
    body = _as_sequence(trunk, skip=("fc", "avgpool"))
    projector = _mlp(512, 64, 32).state_dict()
    state = prefixed(body, "module.backbone.") | prefixed(body, "module.encoder.0.")
    state |= prefixed(projector, "module.encoder.1.")
    other = {n: t + 1 for n, t in body.items()}
    state |= prefixed(other, "module.bbone_ema.") | prefixed(other, "module.encoder_ema.0.")
    state |= prefixed(_mlp(32, 16, 32).state_dict(), "module.predictor.")
    return {"model": state, "step": 1000}, trunk


def simsiam():
    trunk = resnet()
    state = prefixed(_with_head(trunk, "fc", _mlp(512, 64, 32)), "module.encoder.")
    state |= prefixed(_mlp(32, 16, 32).state_dict(), "module.predictor.")
    return {"epoch": 100, "arch": "resnet18", "state_dict": state}, trunk


def swav():
    trunk = resnet()
    state = prefixed(trunk.state_dict(), "module.")
    state |= prefixed(_mlp(512, 64, 32).state_dict(), "module.projection_head.")
    return state | {"module.prototypes.weight": torch.randn(30, 32)}, trunk


def dino():
    trunk = transformer()  # timm's: 6 heads
    head = prefixed(_mlp(384, 64, 32).state_dict(), "head.mlp.")
    head |= {"head.last_layer.weight_g": torch.ones(16, 1)}
    head |= {"head.last_layer.weight_v": torch.randn(16, 32)}
    teacher = prefixed(trunk.state_dict(), "backbone.") | head
    student = prefixed({n: t + 1 for n, t in teacher.items()}, "module.")
    args = argparse.Namespace(arch="vit_small", patch_size=16)
    return {"student": student, "teacher": teacher, "epoch": 100, "args": args}, trunk


def mmselfsup_resnet():
    trunk = resnet()
    state = prefixed(trunk.state_dict(), "backbone.")
    state |= prefixed(_mlp(512, 64, 32).state_dict(), "neck.") | {"queue": torch.randn(128, 64)}
    return {"meta": {"mmselfsup_version": "0.11"}, "state_dict": state}, trunk


def mmselfsup_vit():
    """MMClassification's names of a transformer's parts."""
    trunk = transformer("vidmoco_vit_small_moco_v3")
    state = {}
    for key, tensor in trunk.state_dict().items():
        new = key.replace("patch_embed.proj.", "patch_embed.projection.")
        new = new.replace("blocks.", "layers.").replace(".norm", ".ln")
        new = new.replace(".mlp.fc1.", ".ffn.layers.0.0.").replace(".mlp.fc2.", ".ffn.layers.1.")
        new = new.replace("norm.", "ln1.")
        state["backbone." + new] = tensor
    state |= prefixed(_mlp(384, 64, 32).state_dict(), "head.predictor.")
    return {"meta": {}, "state_dict": state}, trunk


def solo_learn():
    trunk = resnet()
    state = prefixed(trunk.state_dict(), "backbone.")
    state |= prefixed({n: t + 1 for n, t in trunk.state_dict().items()}, "momentum_backbone.")
    state |= prefixed(_mlp(512, 64, 32).state_dict(), "projector.")
    state |= prefixed(nn.Linear(512, 10).state_dict(), "classifier.")
    return {"epoch": 400, "pytorch-lightning_version": "1.6.4", "state_dict": state}, trunk


def lightly():
    """Its tutorials: nn.Sequential(*list(resnet.children())[:-1]) as backbone."""
    trunk = resnet()
    body = _as_sequence(trunk)
    state = prefixed(body, "backbone.") | prefixed(body, "backbone_momentum.")
    state |= prefixed(_mlp(512, 64, 32).state_dict(), "projection_head.layers.")
    return {"epoch": 100, "state_dict": state}, trunk


def torchvision_resnet():
    trunk = resnet()
    return _with_head(trunk, "fc", nn.Linear(512, 1000)), trunk


def torchvision_vit():
    trunk = _random(torchvision.models.vit_b_16(weights=None))
    state = dict(trunk.state_dict())
    trunk.heads = nn.Identity()
    return state, trunk


LAYOUTS = {
    make.__name__: make
    for make in (
        moco_v1,
        moco_v2,
        moco_cifar_demo,
        moco_v3_resnet,
        moco_v3_vit,
        moco_v3_deit,
        fast_moco,
        simsiam,
        swav,
        dino,
        mmselfsup_resnet,
        mmselfsup_vit,
        solo_learn,
        lightly,
        torchvision_resnet,
        torchvision_vit,
    )
}
