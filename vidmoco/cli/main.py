"""The command line: runs a command and decides its exit code.

    0 done · 1 some videos failed · 2 the user's mistake · 130, 143, 138, 140 stopped by
    Ctrl-C, SIGTERM, SIGUSR1, SIGUSR2 · 141 the reader of the output ended, such as ``head``

1 comes from ``extract`` and ``prepare``, and from findings of ``scan --verify`` and ``doctor``.
``evaluate``, ``search``, ``explore`` and ``report`` list what they leave out and return 0.

Nothing heavy is imported before the flags are parsed, so ``--help`` answers at once.
"""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidmoco.ahead import say_loading
from vidmoco.atomic_file import NO_ROOM, unwritable, writing
from vidmoco.backbones.source import UNTRAINED
from vidmoco.backbones.timm_names import require_sources
from vidmoco.cli.flags import parse
from vidmoco.cli.help import HELP
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
from vidmoco.errors import ConfigError, VidmocoError, nearest
from vidmoco.foreign_messages import escape_foreign_messages
from vidmoco.text import error_line
from vidmoco.urls import require_paths

_PIPE_CLOSED = 141  # 128 + SIGPIPE, as for other programs


@dataclass(frozen=True)
class _Command:
    settings: type[Any]
    run: Callable[[Any], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command of ``argv`` and return its exit code. The default is ``sys.argv``."""
    escape_foreign_messages()
    try:
        try:
            return _run(list(sys.argv[1:] if argv is None else argv))
        finally:
            print(end="", flush=True)
    except BrokenPipeError:
        # Otherwise Python fails again at exit, when it flushes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _PIPE_CLOSED
    except SystemExit as exit_:
        if isinstance(exit_.__context__, BrokenPipeError):  # rich exits in this way
            return _PIPE_CLOSED
        raise


def _run(words: list[str]) -> int:
    if words[:1] == ["help"]:
        words = [*words[1:2], "--help"]
    if not words or words[0] in HELP:
        print(_overview())
        return 0
    if words[0] in ("-V", "--version"):
        from vidmoco import __version__

        print(f"vidmoco {__version__}")
        return 0
    return exit_code_of(lambda: _run_command(*words))


def _run_command(name: str, *words: str) -> int:
    command = COMMANDS.get(name)
    if command is None:
        raise ConfigError(
            f"Unknown command {name!r}.{nearest(name, COMMANDS)} Commands: {', '.join(COMMANDS)}."
        )
    return command.run(parse(command.settings, words, prog=f"vidmoco {name}"))


def exit_code_of(run: Callable[[], int]) -> int:
    """Run a command; return its exit code, or print what ended it and return that of the error."""
    try:
        return run()
    except VidmocoError as error:
        print(f"vidmoco: {error_line(error)}", file=sys.stderr)
        return 2
    except OSError as error:  # from a library that writes files itself
        if error.strerror and "temporary directory" in error.strerror:
            advice = "A full disk, a limit on files (ulimit -f) or rights forbid it."
            print(f"vidmoco: {error_line(error.strerror)}. {advice}", file=sys.stderr)
            return 2
        if error.errno not in NO_ROOM:
            raise
        path = Path(error.filename or "A file that this command needs")
        reason = unwritable(error, path, advice=" and try again.")
        print(f"vidmoco: {error_line(reason)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("vidmoco: stopped", file=sys.stderr)
        return 130


def _overview() -> str:
    lines = ["usage: vidmoco COMMAND [OPTIONS]", "", "Image backbones from unlabelled video.", ""]
    for name, command in COMMANDS.items():
        summary = (command.settings.__doc__ or "").split(". ")[0].rstrip(".")
        lines.append(f"  {name:<20}{summary}.")
    return "\n".join([*lines, "", "vidmoco COMMAND --help shows a command's options."])


def _pretrain(command: PretrainCommand) -> int:
    from vidmoco.cli.pretrain import run_pretrain

    return run_pretrain(command)


def _scan(command: ScanCommand) -> int:
    require_paths(*command.videos)
    from vidmoco.video.scan_command import scan_command

    return scan_command(command)


def _prepare(command: PrepareCommand) -> int:
    require_paths(*command.videos)
    from vidmoco.frames.prepare import prepare

    return prepare(command)


def _preview(command: PreviewCommand) -> int:
    require_paths(*command.config.videos)
    from vidmoco.data.catalog_ahead import catalog_ahead

    catalog = catalog_ahead(command.config) if command.config.videos else None
    say_loading()
    from vidmoco.visualize.preview import preview

    return preview(command, catalog)


def _extract(command: ExtractCommand) -> int:
    require_paths(*command.videos)
    require_sources(command.backbone)
    from vidmoco.features.extract_plan import plan_of

    plan = plan_of(command)
    from vidmoco.features.extract_command import extract

    return extract(command, plan)


def _evaluate(command: EvaluateCommand) -> int:
    require_paths(command.images, command.videos.labels)
    require_sources(*(source for source in command.backbone if source != UNTRAINED))
    say_loading()
    from vidmoco.evaluate.compare import evaluate

    evaluate(command)
    return 0


def _evaluate_detection(command: DetectionCommand) -> int:
    for source in command.train:
        split_source(source, flag="--train")
    split_source(command.val, flag="--val")
    require_sources(command.backbone)
    say_loading()
    from rich.console import Console

    from vidmoco.console import say_result
    from vidmoco.evaluate.detection.finetune import RESULTS, finetune_detection
    from vidmoco.evaluate.detection.results_table import print_results

    outcome = finetune_detection(command, console=Console(stderr=True))
    if outcome.results is not None:
        print_results(outcome.results)
        say_result(f"Written to {command.run / RESULTS}")
    return outcome.exit_code


def _report(command: ReportCommand) -> int:
    require_paths(command.features, *command.results)
    from vidmoco.report.report import report

    return report(command)


def _search(command: SearchCommand) -> int:
    require_paths(command.features)
    require_sources(command.backbone)
    say_loading()
    from vidmoco.visualize.search import search

    return search(command)


def _explore(command: ExploreCommand) -> int:
    require_paths(command.features)
    from vidmoco.visualize.explore import explore

    return explore(command)


def _import(command: ImportCommand) -> int:
    require_paths(command.checkpoint)
    say_loading()
    from vidmoco.backbones.import_checkpoint import import_checkpoint
    from vidmoco.console import say_result

    folder = import_checkpoint(command)
    say_result(folder, f"import timm; timm.create_model('local-dir:{folder}', pretrained=True)")
    return 0


def _export(command: ExportCommand) -> int:
    require_sources(str(command.run))
    if command.repository is not None or command.to == "hf-folder":
        require_paths(*command.results)
        say_loading()
        from vidmoco.console import say_result
        from vidmoco.hub.export import export_to_hub

        place = export_to_hub(command)
        name = command.repository
        source = f"local-dir:{place}" if name is None else f"hf-hub:{name}"
        say_result(place, f"import timm; timm.create_model({source!r}, pretrained=True)")
        return 0
    if command.name is None:
        say_loading()
        from vidmoco.backbones.export_file import export_file
        from vidmoco.console import say_result

        with writing(command.output or Path(), advice=", or give another --output."):
            say_result(export_file(command))
        return 0
    say_loading()
    from vidmoco.backbones.registry import PREFIX, export_backbone
    from vidmoco.console import say_result

    folder = export_backbone(str(command.run), name=command.name, overwrite=command.overwrite)
    name = PREFIX + folder.name
    say_result(folder, f"import timm, vidmoco; timm.create_model({name!r}, pretrained=True)")
    return 0


def _demo(command: DemoCommand) -> int:
    say_loading()
    from vidmoco.demo.run import demo

    return demo(command)


def _doctor(command: DoctorCommand) -> int:
    from vidmoco.cli.doctor import doctor

    return doctor(command)


COMMANDS = {
    "scan": _Command(ScanCommand, _scan),
    "preview": _Command(PreviewCommand, _preview),
    "prepare": _Command(PrepareCommand, _prepare),
    "pretrain": _Command(PretrainCommand, _pretrain),
    "extract": _Command(ExtractCommand, _extract),
    "evaluate": _Command(EvaluateCommand, _evaluate),
    "evaluate-detection": _Command(DetectionCommand, _evaluate_detection),
    "search": _Command(SearchCommand, _search),
    "explore": _Command(ExploreCommand, _explore),
    "report": _Command(ReportCommand, _report),
    "import": _Command(ImportCommand, _import),
    "export": _Command(ExportCommand, _export),
    "demo": _Command(DemoCommand, _demo),
    "doctor": _Command(DoctorCommand, _doctor),
}
