import timm
from timm.models import _builder

from vidmoco.backbones.inner_weights import only_own_weights


def test_only_a_folder_fills_a_network(monkeypatch):
    loaded = []
    monkeypatch.setattr(
        _builder,
        "load_pretrained",
        lambda model, pretrained_cfg, **_: loaded.append(pretrained_cfg),
    )
    with only_own_weights():
        timm.create_model("resnet10t", pretrained=True)
        assert loaded == []
        overlay = {"source": "", "state_dict": {"x": 1}}
        timm.create_model("resnet10t", pretrained=True, pretrained_cfg_overlay=overlay)
        assert len(loaded) == 1
    timm.create_model("resnet10t", pretrained=True)
    assert len(loaded) == 2
