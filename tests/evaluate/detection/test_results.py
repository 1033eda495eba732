import json
from pathlib import Path

from detection_material import Shape, random_shapes, write_voc

from vidmoco.config.detection import DetectionCommand
from vidmoco.evaluate.candidates import load_candidates
from vidmoco.evaluate.detection.average_precision import COCO_POINTS, VOC_POINTS, AveragePrecision
from vidmoco.evaluate.detection.load import load_sets
from vidmoco.evaluate.detection.results import described_results


def test_what_one_must_know_to_read_the_numbers(tmp_path):
    square, disc = Shape("square", (1, 2, 30, 40)), Shape("disc", (50, 2, 80, 40), marked=True)
    scenes = [*random_shapes(2), [Shape("square", (50, 5, 99, 40)), disc], []]
    given = write_voc(tmp_path, scenes)
    other = write_voc(tmp_path, [[square], [disc]], split="test")
    train, val = load_sets([given], other)
    (candidate,) = load_candidates(["random:test_resnet"])
    scores = {
        points: AveragePrecision(ap=float(points), ap50=2.0, ap75=3.0, per_class=(None, 4.0))
        for points in (COCO_POINTS, VOC_POINTS)
    }
    settings = DetectionCommand(
        backbone="random:test_resnet", train=(given,), val=other, run=Path("runs/x")
    )
    results = described_results(
        settings,
        candidate,
        train=train,
        val=val,
        trained_on=train.trainable(difficult=False),
        scores=scores,
    )
    assert (results["ap"], results["ap50"], results["ap75"]) == (101, 2, 3)
    assert results["voc07"]["ap"] == 11
    assert results["per_class_ap"] == {"disc": None, "square": 4}
    assert results["backbone"]["weights_hash"] == candidate.weights_hash
    assert results["train"]["num_images"] == 4
    assert results["train"]["num_images_trained_on"] == 3
    assert results["train"]["num_clipped"] == results["train"]["num_difficult"] == 1
    assert results["val"]["num_difficult"] == 1
    assert results["num_images_in_both"] == 0
    assert json.loads(json.dumps(results))["settings"]["val"] == other
