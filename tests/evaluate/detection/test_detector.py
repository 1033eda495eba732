import pytest
import torch
from torch import nn

from vidmoco.backbones.build import load_backbone, weights_hash
from vidmoco.backbones.preprocess import preprocess_of
from vidmoco.errors import ConfigError
from vidmoco.evaluate.detection.detector import (
    batch_norms,
    build_detector,
    prepare_norms,
    set_training,
)


def build(kind, *, source="resnet18", pretrained=False, new_norms=True, **options):
    torch.manual_seed(0)
    backbone = load_backbone(source, pretrained=pretrained)
    given = {
        "num_classes": 2,
        "preprocess": preprocess_of(backbone),
        "short_sides": (64,),
        "max_side": 128,
        "rois_per_image": 8,
        "proposals": 20,
    }
    return build_detector(
        backbone, name=source, kind=kind, new_norms=new_norms, **(given | options)
    )


def weights_of_backbone(model, kind):
    """The weights in a detector by their names in the backbone."""
    body = model.backbone.body if kind == "fpn" else model.backbone
    weights = dict(body.state_dict())
    if kind == "c4":
        head = model.roi_heads.box_head.layer4.state_dict()
        weights |= {f"layer4.{name}": tensor for name, tensor in head.items()}
    return weights


@pytest.mark.parametrize("kind", ["c4", "fpn"])
def test_the_weights_are_those_of_the_backbone_and_all_train(trained, kind):
    _, folder = trained
    backbone = load_backbone(folder)
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    model = build(kind, source=str(folder), pretrained=True)
    found = weights_of_backbone(model, kind)
    assert found.keys() == before.keys()
    assert all(torch.equal(found[name], before[name]) for name in before)
    holder = nn.Module()
    holder.state_dict = lambda: found
    assert weights_hash(holder) == weights_hash(backbone)
    assert all(parameter.requires_grad for parameter in model.parameters())


def targets():
    boxes = torch.tensor([[8.0, 8.0, 40.0, 40.0]])
    return [{"boxes": boxes, "labels": torch.tensor([1])}] * 2


@pytest.mark.parametrize("kind", ["c4", "fpn"])
def test_every_weight_gets_a_gradient(kind):
    model = build(kind).train()
    torch.manual_seed(0)
    losses = model([torch.rand(3, 64, 80), torch.rand(3, 64, 64)], targets())
    sum(losses.values()).backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None]


def test_the_layers_of_the_paper():
    c4 = build("c4")
    head = c4.roi_heads.box_head
    assert [name for name, _ in head.named_children()] == ["layer4", "norm", "pool", "flatten"]
    assert not hasattr(c4.backbone, "layer4")
    assert head(torch.rand(5, 256, 14, 14)).shape == (5, 512)
    assert head.layer4(torch.rand(5, 256, 14, 14)).shape[-2:] == (7, 7)
    assert c4.roi_heads.box_predictor.cls_score.out_features == 3  # with background
    anchors = c4.rpn.anchor_generator
    assert anchors.num_anchors_per_location() == [15]
    assert c4.rpn._pre_nms_top_n == {"training": 12000, "testing": 6000}
    fpn = build("fpn")
    assert sum(isinstance(m, nn.BatchNorm2d) for m in fpn.backbone.fpn.modules()) == 8
    pyramid = fpn.backbone(torch.rand(1, 3, 128, 128))
    assert [tuple(level.shape[1:]) for level in pyramid.values()] == [
        (256, side, side) for side in (32, 16, 8, 4, 2)
    ]


@pytest.mark.parametrize("kind", ["c4", "fpn"])
def test_without_new_norms_only_the_backbone_has_some(kind):
    model = build(kind, new_norms=False)
    assert len(batch_norms(model)) == len(batch_norms(load_backbone("resnet18", pretrained=False)))


def test_pooling_for_c4_has_half_pixel_centres():
    # Each pixel of a map of stride 16 has the x of its centre: 8, 24, 40 …
    xs = (torch.arange(10.0) * 16 + 8).expand(1, 1, 10, 10)
    pool = build("c4").roi_heads.box_roi_pool
    pooled = pool({"0": xs}, [torch.tensor([[16.0, 16.0, 128.0, 128.0]])], [(160, 160)])
    assert pooled.shape == (1, 1, 14, 14)
    expected = 16 + (torch.arange(14) + 0.5) * 112 / 14
    assert torch.allclose(pooled[0, 0], expected.expand(14, 14))


def test_images_are_normalised_as_the_backbone_wants_and_resized():
    model = build("c4", short_sides=(32, 48), max_side=60).eval()
    grey = torch.tensor(model.transform.image_mean).view(3, 1, 1).expand(3, 96, 192)
    images, _ = model.transform([grey])
    # Short side 48 would make it 96 long.
    assert images.image_sizes == [(30, 60)]
    assert images.tensors.abs().max() < 1e-6
    images, _ = model.transform([grey[:, :, :96]])
    assert images.image_sizes == [(48, 48)]
    model.train()
    torch.manual_seed(0)
    sizes = {model.transform([grey[:, :, :96]])[0].image_sizes[0] for _ in range(20)}
    assert sizes == {(32, 32), (48, 48)}


@pytest.mark.parametrize("kind", ["c4", "fpn"])
def test_boxes_are_float32_in_bf16(kind):
    model = build(kind).eval()
    seen = {}

    def look(name):
        return lambda _module, _given, output: seen.update({name: output})

    model.roi_heads.box_head.register_forward_hook(look("head"))
    model.roi_heads.box_predictor.register_forward_hook(look("predictor"))
    model.rpn.head.register_forward_hook(look("rpn"))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        model([torch.rand(3, 64, 64)])
    assert seen["head"].dtype == torch.bfloat16
    scores, deltas = seen["rpn"]
    assert {t.dtype for t in (*scores, *deltas, *seen["predictor"])} == {torch.float32}


def test_frozen_norms_stay():
    model = prepare_norms(build("c4", new_norms=False), "frozen")
    set_training(model, frozen_norms=True)
    norms = batch_norms(model)
    before = [norm.running_mean.clone() for norm in norms]
    sum(model([torch.rand(3, 64, 64)] * 2, targets()).values()).backward()
    assert all(torch.equal(a, n.running_mean) for a, n in zip(before, norms, strict=True))
    assert all(norm.weight.grad is None and norm.bias.grad is None for norm in norms)
    set_training(model, frozen_norms=False)
    model([torch.rand(3, 64, 64)] * 2, targets())
    assert not torch.equal(before[0], norms[0].running_mean)


def test_norms_of_several_processes_on_cpus_are_not_synchronised(monkeypatch):
    model = build("c4")
    monkeypatch.setattr("vidmoco.distributed.world_size", lambda: 2)
    assert prepare_norms(model, "local") is model
    with pytest.raises(ConfigError, match="several processes on CPUs do not support"):
        prepare_norms(model, "synced")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("vit_tiny_patch16_224", "is a VisionTransformer; .*resnet18, resnet34"),
        ("efficientnet_b0", "is a EfficientNet"),
        ("resnetv2_50", "is a ResNetV2"),
        ("vidmoco_resnet18_32px", "stages of strides 1, 2, 4, 8"),
    ],
)
def test_what_is_no_resnet_is_refused(source, message):
    with pytest.raises(ConfigError, match=message):
        build("c4", source=source)
