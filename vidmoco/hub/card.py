"""The model card: README.md of a repository of the Hub, with its metadata."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from huggingface_hub import ModelCardData

import vidmoco
from vidmoco.backbones.source import HUB
from vidmoco.config.export import UNSTATED
from vidmoco.config.methods import METHOD_CONFIGS
from vidmoco.hub.evaluation import evaluation_metadata, evaluation_section
from vidmoco.hub.markdown import code_block, text
from vidmoco.hub.papers import citation
from vidmoco.hub.training import (
    CURVE_FILE,
    RECIPE_FILE,
    data_section,
    is_of_images,
    settings_section,
)
from vidmoco.report.run_facts import RunFacts

TAG = "vidmoco"
"""By which a repository is known as one that vidmoco has written."""
_OWN_ARCHITECTURES = "vidmoco_"


@dataclass(frozen=True, kw_only=True)
class Model:
    """A backbone as its card describes it."""

    repository: str
    """``USER/NAME``, or how a folder is called that has none yet."""
    architecture: str
    dim: int
    size: int
    """Side of the training images, in pixels."""
    num_parameters: int
    license: str | None
    provenance: dict[str, Any]
    """What ``config.json`` says of its origin."""
    facts: RunFacts | None
    """The run folder, or None for a backbone that is no run's."""
    has_curve: bool

    @property
    def name(self) -> str:
        """The name without the user."""
        return self.repository.rpartition("/")[2]

    @property
    def method(self) -> str:
        """The method's name in a recipe, or an empty string."""
        if self.facts is not None and self.facts.config is not None:
            return self.facts.config.method.name
        told = self.provenance.get("method")
        return told if told in METHOD_CONFIGS else ""


def model_card(model: Model, results: Sequence[dict[str, Any]]) -> str:
    """Return the card: metadata in YAML, then Markdown.

    Args:
        model: the backbone.
        results: of ``read_results_of``.
    """
    sections: list[tuple[str, str]] = [("Use", _use(model))]
    if model.facts is not None:
        sections.append(("Training data", data_section(model.facts)))
        sections.append(("Training", _training(model.facts, model.has_curve)))
    sections += [("Evaluation", evaluation_section(one)) for one in results[:1]]
    sections += [("", evaluation_section(one)) for one in results[1:]]
    sections.append(("Limits", _limits(bool(results))))
    sections.append(("Licence", _licence(model.license)))
    if model.facts is not None and model.facts.config is not None:
        sections.append(("Repeat the training", _repeat(model)))
    if entries := citation(model.method):
        sections.append(("Citation", entries))
    parts = [f"# {text(model.name)}", _summary(model)]
    parts += [f"## {title}\n\n{content}" if title else content for title, content in sections]
    parts.append(f"*Written by vidmoco {text(vidmoco.__version__)} from the files of the run.*")
    return f"---\n{_metadata(model, results)}\n---\n\n" + "\n\n".join(parts) + "\n"


def _metadata(model: Model, results: Sequence[dict[str, Any]]) -> str:
    tags = ["timm", "image-feature-extraction"]
    if model.facts is not None or model.method:  # all methods of vidmoco are self-supervised
        tags.append("self-supervised-learning")
    if model.facts is not None and not is_of_images(model.facts):
        tags.append("video")
    tags.append(TAG)
    scores = [score for one in results for score in evaluation_metadata(one)]
    data = ModelCardData(
        library_name="timm",
        pipeline_tag="image-feature-extraction",
        license=model.license or UNSTATED,
        tags=[*tags, *([model.method.replace("_", "-")] if model.method else [])],
        model_name=model.name if scores else None,
        eval_results=scores or None,
    )
    return data.to_yaml().strip()


def _summary(model: Model) -> str:
    what = f"A {text(model.architecture)} backbone of {model.num_parameters / 1e6:.1f} M parameters"
    if model.facts is not None:
        by = f" by {text(model.method)}" if model.method else ""
        data = "images" if is_of_images(model.facts) else "video"
        return f"{what}, trained on unlabelled {data}{by}."
    if origin := model.provenance.get("imported_from"):
        return f"{what}, imported by vidmoco from {text(origin)}."
    return f"{what}."


def _use(model: Model) -> str:
    own = model.architecture.startswith(_OWN_ARCHITECTURES)
    code = f"""import timm{", vidmoco  # vidmoco registers the architecture" if own else ""}
import torch
from PIL import Image

backbone = timm.create_model("{HUB}{model.repository}", pretrained=True).eval()
data = timm.data.resolve_model_data_config(backbone)
transform = timm.data.create_transform(**data, is_training=False)
with torch.no_grad():  # (1, {model.dim}) features of an image
    features = backbone(transform(Image.open("image.jpg").convert("RGB"))[None])"""
    commands = f"vidmoco extract clip.mp4 -o feats.npy --backbone {HUB}{model.repository}"
    side = f"{model.size} x {model.size} pixels"
    seen = f"Images in training had {side}." if model.facts else f"It takes images of {side}."
    about = f"{seen} There is no classifier."
    return "\n\n".join([about, code_block(code, "python"), code_block(commands, "bash")])


def _training(facts: RunFacts, has_curve: bool) -> str:
    curve = f"\n\n![Curves of the training]({CURVE_FILE})" if has_curve else ""
    return settings_section(facts) + curve


def _limits(is_evaluated: bool) -> str:
    tested = "" if is_evaluated else " It has not been evaluated here."
    return (
        "The backbone knows what its training data showed, with its biases. Test it on your "
        f"own data before you rely on it.{tested}"
    )


def _licence(name: str | None) -> str:
    if name is None:
        return "No terms have been stated. Ask who published these weights before you use them."
    if name == UNSTATED:
        return "Terms of their own apply. Ask who published these weights."
    return f"`{name}`, as stated by who published these weights."


def _repeat(model: Model) -> str:
    fetch = f"hf download {model.repository} {RECIPE_FILE} --local-dir .\n"
    return (
        f"`{RECIPE_FILE}` has all settings. With the same videos, from a checkout of vidmoco:\n\n"
        + code_block(f"{fetch}vidmoco pretrain videos/ --recipe {RECIPE_FILE}", "bash")
    )
