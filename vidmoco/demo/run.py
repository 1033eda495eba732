"""``vidmoco demo``: all steps in a few minutes; each step is also a command of its own."""

import time
from dataclasses import replace
from functools import partial
from itertools import chain, count
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from torch.nn.functional import normalize

from vidmoco.backbones.frozen import FrozenBackbone
from vidmoco.config.commands import DemoCommand
from vidmoco.config.evaluation import EvaluateCommand, ReportCommand
from vidmoco.config.extract import ExtractCommand
from vidmoco.config.recipe import load_recipe
from vidmoco.console import LastingConsole, say, say_result
from vidmoco.demo.picture import Panel, draw_demo_picture
from vidmoco.demo.videos import make_labelled_images, make_sample_videos, make_test_clip
from vidmoco.errors import ConfigError
from vidmoco.evaluate.candidates import load_candidates
from vidmoco.evaluate.compare import evaluate
from vidmoco.evaluate.features import compute_features, image_loader
from vidmoco.features.extract_command import extract
from vidmoco.images.labelled import LabelledImages
from vidmoco.images.load import load_labelled_images
from vidmoco.progress import ProgressBar
from vidmoco.report.report import report
from vidmoco.run_folder import make_new_folder, make_writable_folder
from vidmoco.shapes import UInt8
from vidmoco.train.pretrain import pretrain

NUM_VIDEOS = 1200  # measured: fewer are memorised, more cost more than they gain
PER_CLASS_TRAIN, PER_CLASS_VAL = 150, 40  # accurate to about 2.5 points
K, TAU = 20, "0.07"
NUM_QUERIES, NUM_NEIGHBOURS = 6, 6
NAMES = ("untrained", "single-frame\ncontrol", "frame\npairs")


def demo(command: DemoCommand) -> int:
    """Run the demo in a new folder. Return 0, or such as 130 if a signal stops a training."""
    console = LastingConsole()
    title, show = partial(say, console, style="bold"), partial(say, console, style="dim")
    began = time.monotonic()
    folder = _new_folder(command.output)
    say(console, f"The demo writes everything to {folder}/")

    title("1. Sample videos: handwritten digits moving over photographs, no labels")
    videos = folder / "videos"
    with ProgressBar(console, "make", total=NUM_VIDEOS) as bar:
        make_sample_videos(videos, num_videos=NUM_VIDEOS, seed=command.seed, progress=bar.advance)
    make_labelled_images(
        folder / "images",
        per_class_train=PER_CLASS_TRAIN,
        per_class_val=PER_CLASS_VAL,
        seed=command.seed,
    )
    digit = make_test_clip(folder / "clip.mp4", seed=command.seed)

    pairs = replace(load_recipe("demo"), videos=(videos.absolute(),), seed=command.seed)
    control = replace(pairs, data=replace(pairs.data, single_frame=True))
    for number, (name, config, flag, what) in enumerate(
        [
            (
                "single_frame",
                control,
                " --data.single-frame",
                "the control, two views of one frame",
            ),
            ("pairs", pairs, "", "two frames of one video"),
        ],
        start=2,
    ):
        run = folder / "runs" / name
        title(f"{number}. Pretraining on pairs: {what}")
        show(f"   $ vidmoco pretrain {videos} --recipe demo --run {run}{flag}")
        stopped = pretrain(config, run=run, recipe="demo", console=console).exit_code
        if stopped:
            return stopped

    runs = [folder / "runs" / name for name in ("single_frame", "pairs")]
    title("4. The feature of every frame of an unseen clip")
    features = folder / "clip.npy"
    show(f"   $ vidmoco extract {folder}/clip.mp4 -o {features} --backbone {runs[1]}")
    extract(ExtractCommand(videos=(folder / "clip.mp4",), output=features, backbone=str(runs[1])))

    title("5. Evaluation on digits that no video showed")
    sources = ("random", *map(str, runs))
    show(f"   $ vidmoco evaluate {folder}/images --backbone {' '.join(sources)}")
    results = evaluate(
        EvaluateCommand(
            images=folder / "images",
            backbone=sources,
            output=folder / "results.json",
            k=(K,),
            seed=command.seed,
        )
    )
    scores = {row["source"]: row["knn_top1"][TAU][str(K)] for row in results["rows"]}
    picture = folder / "what_was_learnt.png"
    _draw(picture, folder / "images", sources, [scores[source] for source in sources], command.seed)
    page = folder / "report.html"
    title("6. A report of everything")
    flags = f"--results {folder}/results.json --features {features} -o {page}"
    show(f"   $ vidmoco report {runs[1]} {flags}")
    report(
        ReportCommand(
            sources=(runs[1],), output=page, results=(folder / "results.json",), features=features
        ),
        console=console,
    )
    untrained, single, paired = (scores[source] for source in sources)
    say_result(
        f"k-NN top-1 on held-out digits: untrained {untrained:.1f} %, single-frame control "
        f"{single:.1f} %, frame pairs {paired:.1f} %",
        f"Picture: {picture}",
        f"Features of a clip of a {digit}: {features}",
        f"Done in {time.monotonic() - began:.0f} s. The report: {page}",
    )
    return 0


def _new_folder(asked: Path | None) -> Path:
    """Return an empty folder: ``asked``, or the first free ``vidmoco-demo-N``."""
    if asked is not None:
        make_writable_folder(asked, flag="-o")
        if any(asked.iterdir()):
            raise ConfigError(f"The folder {asked} is not empty. Give another -o.")
        return asked
    others = (Path(f"vidmoco-demo-{number}") for number in count(2))
    return make_new_folder(chain([Path("vidmoco-demo")], others), flag="-o")


def _draw(
    path: Path, images: Path, sources: tuple[str, ...], scores: list[float], seed: int
) -> None:
    """Draw the nearest training images of a few held-out digits, as each backbone sees them."""
    train, val = load_labelled_images(images)
    queries = _one_query_per_class(val.labels, seed=seed)[:NUM_QUERIES]
    panels = []
    for name, candidate, score in zip(
        NAMES, load_candidates(sources, seed=seed), scores, strict=True
    ):
        nearest = _nearest(candidate, train, val.subset(queries.tolist()))
        neighbours = np.stack([_pixels(train, row.tolist()) for row in nearest])
        correct = train.labels[nearest] == val.labels[queries][:, None]
        panels.append(Panel(name=name, neighbours=neighbours, correct=correct.numpy(), top1=score))
    draw_demo_picture(
        path,
        queries=_pixels(val, queries.tolist()),
        panels=panels,
        title="What a backbone learns from unlabelled videos of moving digits",
        caption=(
            f"Left: digits that no video showed. Then, for each backbone, their {NUM_NEIGHBOURS} "
            "nearest training images; green means the same digit.\n"
            f"Right: k-NN top-1 over all held-out digits (k = {K}, tau = 0.07)."
        ),
        chance=100 / len(train.classes),
    )


def _one_query_per_class(labels: torch.Tensor, *, seed: int) -> torch.Tensor:
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    firsts: dict[int, int] = {}
    for row in order.tolist():
        firsts.setdefault(int(labels[row]), row)
    return torch.tensor([firsts[label] for label in sorted(firsts)])


def _nearest(
    candidate: FrozenBackbone, train: LabelledImages, queries: LabelledImages
) -> torch.Tensor:
    """Return the rows (q, k) of the nearest training images of each query."""
    loader = image_loader([train, queries], candidate.preprocess, batch_size=256, workers=0)
    features = compute_features(candidate, loader)
    units = normalize(features.values, dim=1)
    similarity = units[len(train) :] @ units[: len(train)].T
    return similarity.topk(NUM_NEIGHBOURS, dim=1).indices


def _pixels(images: LabelledImages, rows: list[int]) -> UInt8[np.ndarray, "n h w 3"]:
    return np.stack([rearrange(images[row][0], "c h w -> h w c").numpy() for row in rows])
