from vidmoco.evaluate.finetune_recipes import ALL_LAYERS_RECIPES, HEAD_RECIPES
from vidmoco.evaluate.regularization import Regularization


def test_they_are_the_papers():
    every = ALL_LAYERS_RECIPES["simclr"]
    v1, v3, vit = (HEAD_RECIPES[name] for name in ("moco_v1", "moco_v3_resnet", "moco_v3_vit"))
    assert (v1.lr, v1.scale_lr, v1.epochs, v1.milestones) == (30, "none", 100, (0.6, 0.8))
    assert v1.schedule == "step"
    for recipe, lr in ((v3, 0.1), (vit, 3.0)):
        assert (recipe.lr, recipe.scale_lr, recipe.epochs) == (lr, "linear", 90)
        assert (recipe.schedule, recipe.update_every) == ("cosine", "epoch")
    assert (
        every.lr,
        every.scale_lr,
        every.nesterov,
    ) == (0.05, "linear", True)
    for recipe in (v1, v3, vit, every):
        assert recipe.crop_scale == (0.08, 1.0)


def test_those_of_other_papers():
    simclr, swav, simsiam, fast = (
        HEAD_RECIPES[name] for name in ("simclr", "swav", "simsiam", "fast_moco")
    )
    assert (simclr.lr, simclr.scale_lr, simclr.epochs) == (0.1, "linear", 90)
    assert (swav.lr, swav.scale_lr, swav.epochs, swav.weight_decay) == (0.3, "none", 100, 1e-6)
    assert (simsiam.lr, simsiam.scale_lr, simsiam.optimizer) == (0.1, "linear", "lars")
    assert (fast.lr, fast.scale_lr, fast.optimizer) == (0.8, "none", "lars")
    assert [r.batch_size for r in (simclr, swav, simsiam, fast)] == [4096, 256, 4096, 4096]
    assert {r.schedule for r in (simclr, swav, simsiam, fast)} == {"cosine"}
    assert all(r.weight_decay == 0 for r in (simclr, simsiam, fast))


def test_deit_s():
    deit = ALL_LAYERS_RECIPES["deit"]
    assert (deit.lr * 512 / 256, deit.scale_lr, deit.batch_size) == (5e-4, "linear", 1024)
    assert (deit.optimizer, deit.weight_decay, deit.epochs) == ("adamw", 0.05, 150)
    assert deit.regularization == Regularization(
        rand_augment="rand-m9-mstd0.5-inc1", erasing=0.25, mixup=0.8, cutmix=1.0,
        label_smoothing=0.1, drop_path=0.1, copies=3,
    )  # fmt: skip
