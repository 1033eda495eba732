"""The file of a small ablation."""

import yaml

SMALL = {
    "recipe": "tiny_cpu",
    "seeds": [0, 1],
    "steps": 2,
    "settings": {
        "data": {"batch_size": 8, "short_side": 32, "workers": 0},
        "augment": {"size": 32},
        "backbone": {"name": "resnet10t"},
        "method": {"queue_size": 40, "bn_splits": 2},
        "optim": {"warmup_epochs": 0},
        "engine": {"log_every": 1, "threads": 1},
    },
    "rows": {
        "untrained": {"frozen": "random"},
        "pairs": {},
        "control": {"data": {"single_frame": True}},
    },
    "compare": [["pairs", "control"], ["pairs", "untrained"]],
}
JUDGE = {"k": [1], "linear": False, "size": 32, "workers": 0}


def write_ablation(folder, *, videos="videos", images="images", **changes):
    """Write the small ablation with changes, and return its path."""
    videos = None if videos is None else [str(videos)]
    given = SMALL | {"videos": videos, "judges": {"set": {"images": str(images)} | JUDGE}}
    path = folder / "ablation.yaml"
    path.write_text(yaml.safe_dump(given | changes, sort_keys=False))
    return path
