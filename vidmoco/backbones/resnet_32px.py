"""ResNets for images of 32 pixels, which timm lacks: a 3 x 3 stem without stride or pooling.

They are those of the CIFAR demo of MoCo's authors, and of SimCLR (Chen et al. 2020, appendix B.9).
"""

from typing import Any

from torch import nn

RESNETS = {"vidmoco_resnet18_32px": "resnet18", "vidmoco_resnet50_32px": "resnet50"}
"""Our name: the timm model that it is made from."""
CROP_PCT = 1.0  # both sources test whole images of 32 pixels


def register_resnets() -> None:
    """Register them with timm, without pretrained weights."""
    import timm  # here: importing timm imports this module (``timm_hook``)

    for name, stock in RESNETS.items():

        def build(
            pretrained: bool = False,
            pretrained_cfg: Any = None,
            name: str = name,
            stock: str = stock,
            **given: Any,
        ) -> nn.Module:
            if pretrained and pretrained_cfg is None:
                raise RuntimeError("there are no pretrained weights of this model in timm")
            kept = {key: value for key, value in given.items() if not key.startswith("pretrained")}
            model: Any = timm.create_model(stock, pretrained_cfg=pretrained_cfg, **kept)
            model.conv1 = nn.Conv2d(model.conv1.in_channels, 64, 3, padding=1, bias=False)
            # timm's initialisation of ResNets.
            nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
            model.maxpool = nn.Identity()
            ours = {"architecture": name, "crop_pct": CROP_PCT}
            model.pretrained_cfg = {**dict(model.pretrained_cfg), **ours}
            if pretrained:
                timm.models.load_pretrained(model, num_classes=model.num_classes)
            return model  # type: ignore[no-any-return]

        build.__name__ = build.__qualname__ = name
        timm.models.register_model(build)
