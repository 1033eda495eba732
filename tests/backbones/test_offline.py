import http.client
import socket

import pytest
import timm

from vidmoco.backbones.build import load_backbone
from vidmoco.backbones.offline import without_network
from vidmoco.errors import CheckpointError


@pytest.mark.parametrize(
    "name",
    ["resnet18.a1_in1k", "hf-hub:nobody/nothing", "vit_base_patch8_224.dino", "dla34.in1k"],
)
def test_nothing_is_downloaded(name, monkeypatch, tmp_path):
    def connect(*_, **__):
        raise AssertionError("the network was reached")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for owner, method in (
        (socket.socket, "connect"),
        (socket, "create_connection"),
        (http.client.HTTPConnection, "connect"),
    ):
        monkeypatch.setattr(owner, method, connect)
    with without_network(), pytest.raises(CheckpointError):
        load_backbone(name)


def test_urls_of_timm_are_not_fetched_either(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    overlay = {"hf_hub_id": None, "url": "http://127.0.0.1:9/x.pth"}
    with without_network(), pytest.raises(RuntimeError, match="a name in a file downloads nothing"):
        timm.create_model("resnet18", pretrained=True, pretrained_cfg_overlay=overlay)
