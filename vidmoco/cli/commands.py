"""The commands: what each checks before its libraries are imported, and what runs it.

Importing torch takes seconds, so mistakes are told before it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vidmoco.ahead import load_libraries
from vidmoco.atomic_file import writing
from vidmoco.backbones.source import UNTRAINED, require_checkpoint
from vidmoco.backbones.timm_names import require_sources
from vidmoco.config.commands import (
    DemoCommand,
    DoctorCommand,
    ExportCommand,
    ImportCommand,
    PrepareCommand,
    PretrainCommand,
    PreviewCommand,
    ScanCommand,
)
from vidmoco.config.detection import DetectionCommand, split_source
from vidmoco.config.evaluation import (
    EvaluateCommand,
    ExploreCommand,
    ReportCommand,
    SearchCommand,
)
from vidmoco.config.extract import ExtractCommand
from vidmoco.cores import require_device
from vidmoco.errors import ConfigError
from vidmoco.frames.key import holds_key
from vidmoco.interrupt import stops_raise
from vidmoco.run_folder import require_place
from vidmoco.urls import expand_lists, expanded, require_paths

_PACKAGES = {"sklearn": "scikit-learn"}  # by the module, where they are called otherwise


@dataclass(frozen=True)
class Command:
    """The settings of a command, and what runs it and returns the exit code."""

    settings: type[Any]
    run: Callable[[Any], int]


def _pretrain(command: PretrainCommand) -> int:
    from vidmoco.cli.pretrain import run_pretrain

    return run_pretrain(command)


def _require_videos(*sources: Path) -> None:
    """Refuse a path where nothing is, and folders of prepared frames.

    Raises:
        ConfigError: a source is one of them.
    """
    require_paths(*sources)
    for source in sources:
        if holds_key(expanded(source)):
            raise ConfigError(
                f"{source} has prepared frames, which only pretrain and preview read. Give the "
                "videos that they are of."
            )


def _require_packages(what: str, *modules: str, extra: str) -> None:
    """Refuse what needs a package that is not installed, before anything is made.

    Raises:
        ConfigError: a package is missing.
    """
    for module in modules:
        if find_spec(module) is None:
            raise ConfigError(
                f"{what} needs {_PACKAGES.get(module, module)}, which is not installed: "
                f"pip install 'vidmoco[{extra}]'"
            )


def _scan(command: ScanCommand) -> int:
    _require_videos(*command.videos)
    require_place(command.output, flag="-o")
    from vidmoco.video.scan_command import scan_command

    return scan_command(command)


def _prepare(command: PrepareCommand) -> int:
    _require_videos(*command.videos)
    require_paths(command.labels)
    require_place(command.output, flag="-o", is_folder=True)
    from vidmoco.frames.prepare import prepare

    return prepare(command)


def _preview(command: PreviewCommand) -> int:
    require_paths(*command.config.videos)
    videos = tuple(expand_lists(command.config.videos))
    command = replace(command, config=replace(command.config, videos=videos))
    require_place(command.output, flag="-o")
    from vidmoco.data.catalog_ahead import catalog_ahead

    catalog = catalog_ahead(command.config) if command.config.videos else None
    load_libraries()
    from vidmoco.visualize.preview import preview

    return preview(command, catalog)


def _extract(command: ExtractCommand) -> int:
    _require_videos(*command.videos)
    require_paths(command.labels)
    if command.engine != "ray":  # whose workers may be elsewhere
        require_device(command.device)
    require_sources(command.backbone)
    require_place(command.output, flag="-o")
    from vidmoco.features.extract_plan import plan_of
    from vidmoco.features.remote_folder import require_lasting

    require_lasting(command.output)
    with stops_raise():  # rows are kept, fetched videos deleted, and other processes told
        plan = plan_of(command)
        from vidmoco.features.extract_command import extract

        return extract(command, plan)


def _evaluate(command: EvaluateCommand) -> int:
    require_paths(command.images, command.videos.labels)
    require_device(command.device)
    require_sources(*(source for source in command.backbone if source != UNTRAINED))
    require_place(command.output, flag="--output")
    load_libraries()
    from vidmoco.evaluate.compare import evaluate

    evaluate(command)
    return 0


def _evaluate_detection(command: DetectionCommand) -> int:
    for source in command.train:
        split_source(source, flag="--train")
    split_source(command.val, flag="--val")
    require_device(command.device)
    require_sources(command.backbone)
    require_place(command.run, flag="--run", is_folder=True)
    load_libraries()
    from vidmoco.console import LastingConsole, say_result
    from vidmoco.evaluate.detection.finetune import RESULTS, finetune_detection
    from vidmoco.evaluate.detection.results_table import print_results

    outcome = finetune_detection(command, console=LastingConsole())
    if outcome.results is not None:
        print_results(outcome.results)
        say_result(f"Written to {command.run / RESULTS}")
    return outcome.exit_code


def _report(command: ReportCommand) -> int:
    require_paths(*command.sources, command.features, *command.results)
    require_place(command.output, flag="--output")
    from vidmoco.report.report import report

    return report(command)


def _search(command: SearchCommand) -> int:
    require_paths(command.features)
    require_device(command.device)
    require_sources(command.backbone)
    require_place(command.output, flag="-o")
    load_libraries()
    from vidmoco.visualize.search import search

    return search(command)


def _explore(command: ExploreCommand) -> int:
    require_paths(command.features)
    require_place(command.output, flag="-o")
    from vidmoco.visualize.explore import explore

    return explore(command)


def _import(command: ImportCommand) -> int:
    require_paths(command.checkpoint)
    require_checkpoint(command.checkpoint)
    require_place(command.output, flag="-o", is_folder=True)
    load_libraries()
    from vidmoco.backbones.import_checkpoint import import_checkpoint
    from vidmoco.console import say_result

    folder = import_checkpoint(command)
    say_result(folder, f"import timm; timm.create_model('local-dir:{folder}', pretrained=True)")
    return 0


def _export(command: ExportCommand) -> int:
    require_sources(str(command.run))
    require_place(command.output, flag="--output")
    if command.repository is not None or command.to == "hf-folder":
        require_paths(*command.results)
        load_libraries()
        from vidmoco.console import say_result
        from vidmoco.hub.export import export_to_hub

        place = export_to_hub(command)
        name = command.repository
        source = f"local-dir:{place}" if name is None else f"hf-hub:{name}"
        say_result(place, f"import timm; timm.create_model({source!r}, pretrained=True)")
        return 0
    if command.name is None:
        if command.to == "onnx":
            _require_packages("--to onnx", "onnx", "onnxruntime", "onnxscript", extra="onnx")
        load_libraries()
        from vidmoco.backbones.export_file import export_file
        from vidmoco.console import say_result

        with writing(command.output or Path(), advice=", or give another --output."):
            say_result(export_file(command))
        return 0
    load_libraries()
    from vidmoco.backbones.registry import PREFIX, export_backbone
    from vidmoco.console import say_result

    folder = export_backbone(str(command.run), name=command.name, overwrite=command.overwrite)
    name = PREFIX + folder.name
    say_result(folder, f"import timm, vidmoco; timm.create_model({name!r}, pretrained=True)")
    return 0


def _demo(command: DemoCommand) -> int:
    require_place(command.output, flag="-o", is_folder=True)
    _require_packages("vidmoco demo", "sklearn", "matplotlib", extra="eval")
    load_libraries()
    from vidmoco.demo.run import demo

    return demo(command)


def _doctor(command: DoctorCommand) -> int:
    from vidmoco.cli.doctor import doctor

    return doctor(command)


COMMANDS = {
    "scan": Command(ScanCommand, _scan),
    "preview": Command(PreviewCommand, _preview),
    "prepare": Command(PrepareCommand, _prepare),
    "pretrain": Command(PretrainCommand, _pretrain),
    "extract": Command(ExtractCommand, _extract),
    "evaluate": Command(EvaluateCommand, _evaluate),
    "evaluate-detection": Command(DetectionCommand, _evaluate_detection),
    "search": Command(SearchCommand, _search),
    "explore": Command(ExploreCommand, _explore),
    "report": Command(ReportCommand, _report),
    "import": Command(ImportCommand, _import),
    "export": Command(ExportCommand, _export),
    "demo": Command(DemoCommand, _demo),
    "doctor": Command(DoctorCommand, _doctor),
}
