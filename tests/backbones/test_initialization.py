import timm
import torch

from vidmoco.backbones.build import build_backbone, load_backbone, save_backbone
from vidmoco.backbones.initialization import NoRandomValues


def test_nothing_is_drawn_in_the_block():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    with NoRandomValues():
        network = timm.create_model("test_vit", num_classes=0)
        assert torch.equal(torch.ones(3).normal_(), torch.ones(3))
    assert torch.equal(torch.get_rng_state(), before)
    assert network.norm.weight.detach().eq(1).all()  # what is no chance is as ever
    timm.create_model("test_vit", num_classes=0)
    assert not torch.equal(torch.get_rng_state(), before)


def test_only_weights_that_are_loaded_are_not_drawn(tmp_path):
    network = build_backbone("test_vit", size=64).eval()
    save_backbone(network, tmp_path / "it", input_size=64, provenance={})
    torch.manual_seed(0)
    before = torch.get_rng_state()
    loaded = load_backbone(tmp_path / "it")
    assert torch.equal(torch.get_rng_state(), before)
    for name, tensor in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)
    load_backbone(f"random:{tmp_path / 'it'}")
    assert not torch.equal(torch.get_rng_state(), before)
