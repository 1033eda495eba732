"""``vidmoco export --to hf-folder`` and ``--to hub:``: the files of a repository of the Hub."""

import re
import shlex
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from safetensors.torch import save_file

from vidmoco import run_folder
from vidmoco.atomic_file import atomic_write
from vidmoco.backbones.build import load_backbone, weights_hash
from vidmoco.backbones.checkpoint_file import read_checkpoint_file
from vidmoco.backbones.folder import CONFIG_FILE, WEIGHTS_FILE, check_folder, weights_file
from vidmoco.backbones.preprocess import feature_dim, preprocess_of
from vidmoco.backbones.source import backbone_folder
from vidmoco.config.commands import ExportCommand
from vidmoco.console import say
from vidmoco.errors import ConfigError
from vidmoco.hub.card import Model, model_card
from vidmoco.hub.curve import training_curve
from vidmoco.hub.evaluation import read_results_of
from vidmoco.hub.training import CURVE_FILE, RECIPE_FILE, recipe_text
from vidmoco.hub.upload import open_repository, upload
from vidmoco.report.detection import RESULTS
from vidmoco.report.run_facts import read_run
from vidmoco.urls import expanded

CARD_FILE = "README.md"
_FILES = {CARD_FILE, CONFIG_FILE, WEIGHTS_FILE, CURVE_FILE, RECIPE_FILE}
_PLACEHOLDER = "USER"


def export_to_hub(command: ExportCommand) -> str:
    """Write the folder or upload it. Return its path, or the address of the repository.

    Raises:
        ConfigError: there is no folder of a backbone, the place cannot be written, or the Hub
            refuses.
        CheckpointError: the backbone cannot be loaded.
    """
    folder = backbone_folder(str(command.run))  # a name of timm is none, and no missing path
    if folder is None:
        raise ConfigError(f"{command.run} is no folder. Give a run folder or a backbone folder.")
    check_folder(folder)
    if (folder / CARD_FILE).is_file():
        raise ConfigError(
            f"{folder} has a model card of its own. Upload it as it is: hf upload USER/NAME "
            f"{shlex.quote(str(folder))}"
        )
    if command.repository is not None:
        repository = open_repository(
            command.repository, overwrite=command.overwrite, private=command.private
        )
        with TemporaryDirectory(prefix="vidmoco-hub-") as files:
            write_files(command, folder, Path(files), name=command.repository)
            return upload(repository, Path(files), private=command.private)
    output = command.output
    assert output is not None  # ExportCommand requires it
    _require_replaceable(output, overwrite=command.overwrite)
    run = _run_of(folder)
    name = re.sub(r"[^\w.-]+", "-", (run or folder).resolve().name, flags=re.ASCII).strip("-.")
    with atomic_write(output, advice=", or give another --output.") as part:
        part.mkdir()
        write_files(command, folder, part, name=f"{_PLACEHOLDER}/{name or 'backbone'}")
    return str(output)


def write_files(command: ExportCommand, folder: Path, output: Path, *, name: str) -> None:
    """Write the files of a repository.

    Args:
        command: licence and results.
        folder: of the backbone.
        output: an empty folder.
        name: ``USER/NAME``.
    """
    backbone: Any = load_backbone(folder)
    config = check_folder(folder)
    run = _run_of(folder)
    facts = None if run is None else read_run(run)
    results = _results(command, run, weights_hash(backbone), name=name.rpartition("/")[2])
    shutil.copyfile(folder / CONFIG_FILE, output / CONFIG_FILE)
    _write_weights(weights_file(folder), output / WEIGHTS_FILE)
    picture = None if facts is None else training_curve(facts.metrics, facts.monitor)
    if picture is not None:
        picture.save(output / CURVE_FILE)
    if facts is not None and facts.config is not None:
        text = recipe_text(facts.config, name=name)
        (output / RECIPE_FILE).write_text(text, encoding="utf-8")
    provenance = config.get("vidmoco")
    preprocess = preprocess_of(backbone)
    model = Model(
        repository=name,
        architecture=str(config["architecture"]),
        dim=feature_dim(backbone, preprocess, name=str(folder)),
        size=preprocess.size,
        num_parameters=sum(weight.numel() for weight in backbone.parameters()),
        license=command.license,
        provenance=provenance if isinstance(provenance, dict) else {},
        facts=facts,
        has_curve=picture is not None,
    )
    (output / CARD_FILE).write_text(model_card(model, results), encoding="utf-8")


def _run_of(folder: Path) -> Path | None:
    """Return the run folder that a backbone folder is in, or None."""
    place = folder.resolve()
    is_runs = place.name == run_folder.BACKBONE and (place.parent / run_folder.CONFIG).is_file()
    return place.parent if is_runs else None


def _results(
    command: ExportCommand, run: Path | None, weights: str, *, name: str
) -> list[dict[str, Any]]:
    """Return the given results, or those in the run folder if they are of these weights."""
    if command.results:
        return [
            read_results_of(expanded(path), weights_hash=weights, name=name)
            for path in command.results
        ]
    if run is None or not (run / RESULTS).is_file():
        return []
    try:
        return [read_results_of(run / RESULTS, weights_hash=weights, name=name)]
    except ConfigError as error:  # such as of the run before it was extended
        say(Console(stderr=True), f"The model card is written without scores: {error}")
        return []


def _write_weights(file: Path, output: Path) -> None:
    """Copy the weights; those of ``pytorch_model.bin`` become safetensors, which run no code."""
    if file.name == WEIGHTS_FILE:
        shutil.copyfile(file, output)
        return
    # Copies: safetensors takes no tensors that share memory.
    state = {key: weight.contiguous().clone() for key, weight in read_checkpoint_file(file).items()}
    save_file(state, output, metadata={"format": "pt"})


def _require_replaceable(output: Path, *, overwrite: bool) -> None:
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    if not output.is_dir():
        raise ConfigError(f"{output} is a file, and --to hf-folder writes a folder. Name a folder.")
    others = sorted({path.name for path in output.iterdir()} - _FILES)
    if others or not (output / CARD_FILE).is_file():
        what = f"it holds {others[0]!r}" if others else f"it has no {CARD_FILE}"
        raise ConfigError(
            f"{output} is no folder of --to hf-folder, and is not replaced: {what}. Name a new "
            "folder."
        )
    if not overwrite:
        raise ConfigError(f"{output} already exists. Add --overwrite, or name another folder.")
