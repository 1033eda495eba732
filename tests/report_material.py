"""A run folder, results and a reader of pages for the tests of the report."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from vidmoco.config.pretrain import PretrainConfig
from vidmoco.config.recipe import dump_recipe
from vidmoco.evaluate.results_table import FORMAT

EVIL = """<script>alert(1)</script>&"'</style>"""
_VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """What is in a page; an element that is not closed, or by another's name, is an error."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []  # element, text
        self._open: list[str] = []
        self.feed(markup)
        self.close()
        assert self._open == [], f"not closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute twice: {attrs}"
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open and self._open[-1] == tag, f"</{tag}> closes {self._open[-3:]}"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self._open[-1] if self._open else "", data.strip()))

    @property
    def text(self) -> str:
        """All that is read, styles and scripts left out."""
        hidden = ("style", "script")
        return " ".join(text for element, text in self.texts if element not in hidden)

    def all(self, tag: str, **attributes: str) -> list[dict[str, str | None]]:
        """Return the attributes of some elements; ``class_`` must be among the classes."""
        wanted = attributes.pop("class_", None)
        return [
            found
            for name, found in self.elements
            if name == tag
            and attributes.items() <= found.items()
            and (wanted is None or wanted in (found.get("class") or "").split())
        ]


def foreign_addresses(markup: str) -> list[str]:
    """Return all that a page would ask others for: addresses in attributes, imports in styles."""
    page = Page(markup)
    named = ("src", "href", "srcset", "action", "data", "poster", "xlink:href", "background")
    found = [
        str(attributes[name])
        for _, attributes in page.elements
        for name in named
        if name in attributes and not str(attributes[name]).startswith(("data:", "#"))
    ]
    styles = [text for element, text in page.texts if element == "style"]
    styles += [str(attributes["style"]) for _, attributes in page.elements if "style" in attributes]
    return found + re.findall(r"@import|url\(|https?:|image-set", " ".join(styles))


def chromium_or_skip() -> str:
    """Return the program of a browser."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip(
            "tests in a browser need a Chromium on the PATH, as chromium or google-chrome: install "
            "one (Debian: apt install chromium) and run them again"
        )
    return program


def make_run(
    folder: Path,
    config: PretrainConfig | None = None,
    *,
    steps: int = 30,
    total: int = 30,
    told: int | None = 30,
) -> Path:
    """Write a run folder of ``steps`` of ``total`` steps, 10 an epoch, with a line every 10.

    ``told`` is what its backbone says of its steps; None: there is no backbone yet.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = config or PretrainConfig(videos=(Path("/gone/videos"),), epochs=total / 10)
    (folder / "config.yaml").write_text(dump_recipe(config))
    lines = [
        {
            "step": step, "epoch": step / 10, "lr": 0.03, "loss": 4.0, "top1": float(step),
            "top5": 50.0, "loss_minus_chance": -step / 10, "spread": 0.9, "effective_rank": 40.0,
            "alignment": 1.0, "uniformity": -3.0, "pairs_per_second": 100.0,
            "data_wait_share": 0.25, "seconds": 50.0,
        }
        for step in range(10, steps + 1, 10)
    ]  # fmt: skip
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    environment = {
        "time": "2026-01-02T03:04:05+00:00",
        "command": ["/usr/bin/vidmoco", "pretrain", "my videos", "--recipe", "moco_v2"],
        "recipe": "moco_v2",
        "packages": {"torch": "2.15.0", "ray": None},
    }
    (folder / "environment.json").write_text(json.dumps(environment))
    if told is not None:
        (folder / "backbone").mkdir(exist_ok=True)
        about = {"vidmoco": {"steps": told, "num_videos": 1234, "recipe": "moco_v2"}}
        (folder / "backbone" / "config.json").write_text(json.dumps(about))
    return folder


def row(name: str, *, knn: float = 40.0, linear: float | None = 50.0) -> dict[str, Any]:
    """Return a row of a results file, of two classes with ten images each."""
    hits = round(knn / 10)
    preprocess = {
        "size": 32, "crop_pct": 0.875, "interpolation": "bicubic", "crop_mode": "center",
        "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5],
    }  # fmt: skip
    scores = {
        "knn_top1": {"0.07": {"1": knn, "20": knn + 1}, "0.1": {"1": knn + 2, "20": knn + 3}},
        "knn_interval": {
            tau: {"1": [knn - 5, knn + 5], "20": [knn - 4, knn + 6]} for tau in ("0.07", "0.1")
        },
        "knn_confusion": [[hits, 10 - hits], [10 - hits, hits]],
    }
    if linear is not None:
        scores |= {
            "linear_top1": linear,
            "linear_interval": [linear - 3, linear + 3],
            "linear_confusion": [[9, 1], [4, 6]],
            "linear_decay": 0.1,
        }
    about = {"architecture": "resnet18", "dim": 512, "input_size": 32, "source": f"runs/{name}"}
    return {"name": name, "preprocess": preprocess, **about, **scores}


def results(*rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return what a results file holds."""
    has_linear = all("linear_top1" in row for row in rows)
    settings = {
        "layer": "pooled features", "k": [1, 20], "headline_k": 20, "knn_tau": [0.07, 0.1],
        "few_shot": [], "linear_decays": [0.1] if has_linear else [], "finetune": [],
        "size": 32, "max_train_per_class": None, "precision": "fp32",
        "seed": 0,
    }  # fmt: skip
    return {
        "format": FORMAT, "vidmoco": "0.1.0", "command": "vidmoco evaluate x",
        "images": "/data/pets", "classes": ["cat", "dog"],
        "num_train": 1000, "num_val": 20, "val_split": "val", "refused": [], "num_other_files": 0,
        "settings": settings | more.pop("settings", {}), "rows": list(rows), "notes": [], **more,
    }  # fmt: skip


def write_json(path: Path, data: Any) -> Path:
    """Write JSON and return its path."""
    path.write_text(json.dumps(data))
    return path


_LINE = {
    "lr": 0.02, "loss": 2.5, "loss_classifier": 0.5, "loss_box_reg": 0.25, "loss_objectness": 0.75,
    "loss_rpn_box_reg": 1.0, "images_per_second": 3.0,
}  # fmt: skip


def _part(kind: str) -> dict[str, Any]:
    return {
        "format": kind, "num_images": 6, "num_boxes": 10, "num_crowd": 1, "num_difficult": 0,
        "num_clipped": 0, "num_dropped": 0,
    }  # fmt: skip


def transfer_results(
    *, kind: str = "voc", ap: float = 40.25, name: str = "random", val: str = "VOC2007:test"
) -> dict[str, Any]:
    """Return what ``evaluate-detection`` writes as results."""
    return {
        "vidmoco_version": "0.1.0",
        "backbone": {"name": name, "architecture": "resnet18", "weights_hash": "ab"},
        "detector": "c4", "ap": ap, "ap50": 61.5, "ap75": 43.5,
        "voc07": {"ap": 41.75, "ap50": 62.5, "ap75": 44.5},
        "per_class_ap": {"disc": ap, EVIL: None},
        "train": _part(kind), "val": _part(kind), "num_images_in_both": 2,
        "settings": {"iterations": 4, "seed": 0, "val": val},
    }  # fmt: skip


def transfer_run(folder: Path, *, is_done: bool = True, **given: Any) -> Path:
    """Write a run folder of ``evaluate-detection``."""
    folder.mkdir(parents=True)
    lines = [json.dumps({"step": step, **_LINE}) + "\n" for step in (1, 2)]
    (folder / "metrics.jsonl").write_text("".join(lines))
    if is_done:
        write_json(folder / "results.json", transfer_results(**given))
    return folder
