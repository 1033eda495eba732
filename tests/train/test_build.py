import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from method_material import normed_backbone, run, views
from torch import nn

from vidmoco.config.augment import AugmentConfig
from vidmoco.config.backbone import BackboneConfig
from vidmoco.config.data import DataConfig
from vidmoco.config.methods import (
    EndToEndConfig,
    FastMoCoConfig,
    MemoryBankConfig,
    MoCoConfig,
    MoCoV3Config,
    SimCLRConfig,
)
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.config.runtime import EngineConfig
from vidmoco.errors import ConfigError
from vidmoco.methods.build import build_method, compile_encoders
from vidmoco.methods.protocol import Inputs
from vidmoco.train.build import assemble_method

CPU = torch.device("cpu")
SMALL = PretrainConfig(
    data=DataConfig(batch_size=8),
    augment=AugmentConfig(size=32),
    backbone=BackboneConfig(name="resnet10t"),
    method=MoCoConfig(dim=8, queue_size=16, bn_splits=2),
    engine=EngineConfig(precision="fp32"),
)


def build(config=SMALL):
    torch.manual_seed(0)
    return assemble_method(config, device=CPU, durations=np.ones(9))


METHODS = {
    "moco": MoCoConfig(dim=8, queue_size=16, bn_splits=2),
    "moco_v3": MoCoV3Config(dim=8, hidden_dim=16),
    "fast_moco": FastMoCoConfig(dim=8, hidden_dim=16, predictor_hidden_dim=8),
    "simclr": SimCLRConfig(dim=8),
    "end_to_end": EndToEndConfig(dim=8, bn_splits=2),
    "memory_bank": MemoryBankConfig(dim=8, num_negatives=6),
}


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.parametrize("name", METHODS)
def test_compiled_encoders_give_what_plain_ones_give(name, monkeypatch):
    """The first method by inductor's kernels; of the others what is compiled, without kernels."""
    if name != "moco":
        whole = nn.Module.compile
        monkeypatch.setattr(
            nn.Module, "compile", lambda module, mode: whole(module, backend="aot_eager")
        )

    def built():
        torch.manual_seed(0)
        inputs = Inputs(num_features=6, durations=np.ones(9))
        return build_method(METHODS[name], normed_backbone(), inputs)

    plain, compiled = built(), built()
    compile_encoders(compiled, cuda_graphs=False)
    for encoder in (m for n, m in compiled.named_children() if n.startswith("encoder")):
        assert encoder._compiled_call_impl is not None
    for step in range(2):
        pair = views(step, n=8)
        expected, loss = run(plain, pair)[0], run(compiled, pair)[0]
        torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-4)
    for a, b in zip(plain.backbone.parameters(), compiled.backbone.parameters(), strict=True):
        torch.testing.assert_close(b.grad, a.grad, rtol=1e-2, atol=1e-4)


def test_images_and_weights_are_channels_last_if_asked():
    weight = build().backbone.layer1[0].conv1.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    plain = build(replace(SMALL, engine=EngineConfig(precision="fp32", channels_last=False)))
    assert plain.backbone.layer1[0].conv1.weight.is_contiguous()


def test_one_pixel_before_a_stride_is_refused_in_bf16_alone():
    small = replace(SMALL, augment=AugmentConfig(size=32, small_crops=1, small_size=16))
    build(small)
    with pytest.raises(
        ConfigError, match=r"Small crops are 16 px.*layer4.*--augment.small-size 32, or.*fp32"
    ):
        build(replace(small, engine=EngineConfig(precision="bf16")))


def test_patches_of_one_pixel_name_the_size_of_the_views():
    config = replace(
        SMALL,
        augment=AugmentConfig(size=16),
        method=METHODS["fast_moco"],
        engine=EngineConfig(precision="bf16"),
    )
    with pytest.raises(ConfigError, match=r"^Patches of views are 8 px.*Give --augment.size 64,"):
        build(config)
    build(replace(config, augment=AugmentConfig(size=64)))
    with pytest.raises(ConfigError, match=r"^Views are 16 px.*Give --augment.size 32, or"):
        build(replace(config, method=SMALL.method))


def test_the_queue_is_large_against_the_videos():
    assert SMALL.method.warning(16) == ""
    assert "16 keys of 4 videos, so about 4 of" in SMALL.method.warning(4)
    assert replace(SMALL.method, same_video="masked").warning(4) == ""
    assert METHODS["simclr"].warning(2) == ""
    bank = MemoryBankConfig(num_negatives=16)
    assert bank.warning(8) == ""
    assert bank.warning(4, "image") == (
        "The 16 negatives are drawn from 4 images, so each comes about 4 times, a query's own too. "
        "Consider --method.loss softmax, which takes each other one once, or fewer "
        "--method.num-negatives."
    )
    assert "4 times" in replace(bank, loss="info_nce").warning(4)
    for quiet in (replace(bank, loss="softmax"), replace(bank, instance_seconds=0.25)):
        assert quiet.warning(4) == ""


def test_one_source_has_nothing_to_be_told_from():
    for method in (METHODS["simclr"], SMALL.method):  # and not that its queue is large for it
        assert method.warning(1).startswith("There is only one video, segment or image")
    bank = MemoryBankConfig()
    assert bank.warning(1) and not replace(bank, instance_seconds=0.25).warning(1)


@pytest.mark.parametrize(
    ("method", "words"),
    [
        (
            MoCoConfig(queue_size=2**30, bn_splits=2),
            r"The queue of 1,073,741,824 embeddings of dimension 128",
        ),
        (
            MemoryBankConfig(num_negatives=2 * 10**9),
            r"draw of negatives of 16,000,000,000 .*fewer --method.num-negatives",
        ),
        (SimCLRConfig(dim=10**12), r"heads of simclr do not fit .* --method.dim is 1000000000000"),
        (MemoryBankConfig(instance_seconds=1e-9), r"memory bank of 9,000,000,009 .*instance-sec"),
    ],
)
def test_what_no_memory_holds_is_refused(method, words):
    config = PretrainConfig(data=DataConfig(batch_size=8), method=method)
    with pytest.raises(ConfigError, match=words):
        assemble_method(config, device=CPU, durations=np.ones(9))
