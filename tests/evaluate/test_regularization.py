import pytest
import timm
import torch
from evaluate_runs import run

from vidmoco.errors import ConfigError
from vidmoco.evaluate import regularization
from vidmoco.evaluate.candidates import load_candidates
from vidmoco.evaluate.regularization import (
    Regularization,
    add_drop_path,
    erased_and_mixed,
    require_blocks,
    seeded,
)


def colours(n=8, size=16):
    """Images of one colour each, so that every pixel tells which images it is mixed of."""
    return torch.arange(1.0, n + 1).view(n, 1, 1, 1).expand(n, 3, size, size).clone()


def mixed(seed, **options):
    with seeded(seed):
        return erased_and_mixed(
            colours(), torch.arange(8), Regularization(**options), num_classes=8
        )


def test_labels_have_the_shares_of_the_pixels():
    kinds = set()
    for seed in range(40):
        images, labels = mixed(seed, erasing=0.0)
        torch.testing.assert_close(labels.sum(dim=1), torch.ones(8))
        means = images[:, 0].mean(dim=(1, 2))  # of a mixture: the sum of share times colour
        torch.testing.assert_close(means, labels @ torch.arange(1.0, 9.0), rtol=1e-4, atol=1e-4)
        values = images[0, 0].unique()
        kinds.add("mixup" if len(values) == 1 else "cutmix")
        assert len(values) <= 2 and (labels > 0).sum(dim=1).max() <= 2
    assert kinds == {"mixup", "cutmix"}


def test_a_quarter_of_the_images_has_a_part_of_noise(monkeypatch):
    monkeypatch.setattr(regularization, "_SHARE_OF_CUTMIX", 1.0)  # colours stay whole numbers
    num_noisy = 0
    for seed in range(50):
        images, _ = mixed(seed)
        num_noisy += int((images != images.round()).flatten(1).any(dim=1).sum())
    assert 80 < num_noisy < 200  # of 400: a quarter, and those into which noise is pasted


def test_a_seed_decides_and_the_global_generators_go_on():
    before = torch.get_rng_state()
    first = mixed(3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    assert all(map(torch.equal, first, mixed(3)))
    assert not torch.equal(first[0], mixed(4)[0])


def test_drop_path_grows_from_block_to_block_and_ends_in_evaluation():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vit = timm.create_model("vit_tiny_patch16_224", img_size=32, num_classes=0)
        images = torch.randn(4, 3, 32, 32)
        plain = vit.eval()(images)
        add_drop_path(vit, 0.1)
        rates = [block.drop_path1.drop_prob for block in vit.blocks]
        assert rates == pytest.approx([0.1 * n / 11 for n in range(12)])
        assert rates == pytest.approx([block.drop_path2.drop_prob for block in vit.blocks])
        assert torch.equal(vit.eval()(images), plain)
        vit.train()
        assert not torch.equal(vit(images), vit(images))


def test_drop_path_needs_a_transformer(make_images, tmp_path):
    with pytest.raises(ConfigError, match=r"random \(test_resnet\) is a test_resnet"):
        run(make_images(), tmp_path, finetune=("all",), finetune_recipe="deit")
    (vit,) = load_candidates(["random:vit_tiny_patch16_224"], size=32)
    require_blocks(vit)


def test_views_of_one_image_are_mixed_with_other_images():
    """Repeated augmentation puts them side by side, and torchvision mixes neighbours."""
    labels = torch.arange(4).repeat_interleave(4)
    with_another = 0
    for seed in range(50):
        with seeded(seed):
            _, shares = erased_and_mixed(
                colours(16), labels, Regularization(erasing=0.0), num_classes=4
            )
        with_another += int((shares > 0).sum(dim=1).eq(2).sum())
    assert with_another > 0.6 * 50 * 16  # by neighbours it is a quarter
