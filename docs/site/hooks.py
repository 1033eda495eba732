"""Pages of the site that are made from the code, and links from ``docs/`` to the repository."""

import argparse
import ast
import functools
import posixpath
import re
import warnings
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import nbconvert
import tyro
import yaml
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from tyro.constructors import ConstructorRegistry

import vidmoco
from vidmoco.cli.commands import COMMANDS
from vidmoco.cli.help import help_rule
from vidmoco.config.commands import PretrainCommand
from vidmoco.config.methods import METHOD_CONFIGS
from vidmoco.config.recipe import default_recipe, load_recipe, shipped_recipes

ROOT = Path(__file__).parents[2]

# Where the site has what is elsewhere in the repository.
COPIES = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changes.md"}
PLACES = {
    **COPIES,
    "README.md": "index.md",
    "configs": "recipes.md",
    "examples": "examples/index.md",
    "vidmoco/cli": "commands/index.md",
    "vidmoco": "reference/vidmoco.md",
}
# The reference has a page for each of these, beside that of the public names.
PARTS = {
    "A loop of your own": [
        "vidmoco.methods.build", "vidmoco.methods.protocol", "vidmoco.methods.losses",
        "vidmoco.methods.feature_queue", "vidmoco.methods.momentum", "vidmoco.methods.heads",
        "vidmoco.augment.views", "vidmoco.optim.lars", "vidmoco.optim.schedule",
    ],
    "Settings": [
        "vidmoco.config.pretrain", "vidmoco.config.data", "vidmoco.config.augment",
        "vidmoco.config.backbone", "vidmoco.config.methods", "vidmoco.config.optim",
        "vidmoco.config.runtime", "vidmoco.config.monitor", "vidmoco.config.frame_selection",
    ],
    "Errors": ["vidmoco.errors"],
}  # fmt: skip
# The types of settings are written for the command line.
PLAIN = "    options:\n      separate_signature: false\n      show_signature_annotations: false\n"
HOMES = {"evaluate": "vidmoco.api.features.evaluate"}  # vidmoco.evaluate is a folder of modules too


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages of a folder in its place in the navigation."""
    made = list(_pages())

    def filled(entry: Any) -> Any:
        if isinstance(entry, dict):
            return {title: filled(inner) for title, inner in entry.items()}
        if isinstance(entry, list):
            return [filled(one) for one in entry]
        return [name for name in made if name.startswith(entry)] if entry.endswith("/") else entry

    config.nav = filled(config.nav)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made from the code."""
    for name, content in _pages().items():
        files.append(File.generated(config, name, content=content))
    for name, content in _notebook_pictures().items():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Lead links to files outside of ``docs/`` to their pages."""
    folder = posixpath.dirname(page.file.src_uri)

    def led(match: re.Match[str]) -> str:
        target, hash_, anchor = match[1].partition("#")
        place = folder if folder.startswith("examples") else f"docs/{folder}"  # in the repository
        outside = posixpath.normpath(posixpath.join(place, target))
        inside = outside.startswith("docs/") or not (ROOT / outside).exists()
        if re.match(r"\w+:", target) or not target or inside:
            return match[0]
        return f"]({posixpath.relpath(_page_of(outside), folder or '.')}{hash_}{anchor})"

    return re.sub(r"\]\(([^)\s]+)\)", led, markdown)


def _page_of(path: str) -> str:
    """Return the page of a file or a folder of the repository."""
    return (
        PLACES.get(path.partition("/")[0] if path.startswith("configs/") else path) or f"{path}.md"
    )


@functools.cache
def _pages() -> dict[str, str]:
    pages = {"recipes.md": _recipes()}
    for source, page in COPIES.items():
        pages[page] = (ROOT / source).read_text().replace("](docs/", "](")
    return pages | _examples() | _commands() | _reference()


def _commands() -> dict[str, str]:
    """Return a page for each command, with all of its flags, and one that lists them."""
    index = ["# Commands", "", "| command | does |", "|---|---|"]
    pages = {}
    for name, command in COMMANDS.items():
        about = " ".join((command.settings.__doc__ or "").split())
        index.append(f"| [`vidmoco {name}`]({name}.md) | {about.split('. ')[0].rstrip('.')} |")
        options: dict[str, Any] = {}
        note = ""
        if "config" in {one.name for one in fields(command.settings)}:
            recipe = default_recipe("cpu")
            options["default"] = command.settings(config=load_recipe(recipe), recipe=recipe)
            note = f"\nDefaults are those of the recipe `{recipe}` ([recipes](../recipes.md)).\n"
        lines = [f"# vidmoco {name}", "", about, note, *_flags(command.settings, options)]
        if command.settings is PretrainCommand:
            for method, settings in METHOD_CONFIGS.items():
                if not isinstance(options["default"].config.method, settings):
                    lines += _flags_of_method(method, settings)
        pages[f"commands/{name}.md"] = "\n".join(lines)
    return {"commands/index.md": "\n".join(index)} | pages


def _flags_of_method(method: str, settings: type[Any]) -> Iterator[str]:
    recipe = next(one for one in shipped_recipes() if load_recipe(one).method.name == method)
    command = PretrainCommand(config=load_recipe(recipe), recipe=recipe)
    about = " ".join((settings.__doc__ or "").split())
    yield from ["", f"## method options, {method}", "", f"{about} Defaults: `{recipe}`.", ""]
    groups = dict(_groups(PretrainCommand, {"default": command}))
    yield from _table(groups["method options"][1])


def _groups(
    settings: type[Any], options: dict[str, Any]
) -> Iterator[tuple[str, tuple[str, list[argparse.Action]]]]:
    """Yield the groups of ``--help-all``: the title, the description and the flags."""
    registry = ConstructorRegistry()
    registry.struct_rule(help_rule(set(), everything=True))
    with warnings.catch_warnings():
        # tyro has no other public way to the flags of a dataclass.
        warnings.simplefilter("ignore", DeprecationWarning)
        parser = tyro.extras.get_parser(settings, registry=registry, **options)
    for group in parser._action_groups:
        flags = [one for one in group._group_actions if one.help != argparse.SUPPRESS]
        flags = [one for one in flags if "--help" not in one.option_strings]
        if flags:
            title = (group.title or "").removeprefix("positional ")
            yield title, (group.description or "", flags)


def _flags(settings: type[Any], options: dict[str, Any]) -> Iterator[str]:
    for title, (about, flags) in _groups(settings, options):
        yield from ["", f"## {title}", "", " ".join(about.split()), ""]
        yield from _table(flags)


def _table(flags: list[argparse.Action]) -> Iterator[str]:
    yield from ['<div class="flags" markdown>', "", "| flag | values | what |", "|---|---|---|"]
    for one in flags:
        names = "<br>".join(f"`{name}`" for name in one.option_strings)
        values = str(one.metavar or "").replace("{None}|", "")
        if not names:
            names, values = f"`{values.strip('[]').split(' ')[0]} …`", ""
        text = " ".join((one.help or "").split())
        text = re.sub(r"\(default: (.*)\)$", r"Default: `\1`.", text)
        # Outside of code, * and < would be markup.
        parts = re.split(r"(`[^`]*`)", text)
        parts[::2] = [re.sub(r"([*_<|\[\]])", r"\\\1", part) for part in parts[::2]]
        shown = values.strip("{}").replace(",", ", ").replace("|", ", ")
        yield f"| {names} | {f'`{shown}`' if shown else ''} | {''.join(parts)} |"
    yield from ["", "</div>"]


def _recipes() -> str:
    rows, sections = [], []
    for name in sorted(shipped_recipes()):
        config = load_recipe(name)
        text = (ROOT / "configs" / f"{name}.yaml").read_text()
        head = text[: re.search(r"^(?!#)", text, re.MULTILINE).start()]  # type: ignore[union-attr]
        length = f"{config.steps} steps" if config.steps else f"{config.epochs:g} epochs"
        rows.append(
            f"| [`{name}`](#{name}) | `{config.method.name}` | `{config.backbone.name}` | "
            f"{config.augment.size} | {config.data.batch_size} | {length} | {config.optim.name} |"
        )
        settings = text.removeprefix(head).strip()
        assert yaml.safe_load(settings), name
        sections += ["", f"## {name}", "", *_comment(head), "", "```yaml", settings, "```"]
    table = ["| recipe | method | backbone | px | batch | length | optimiser |", "|" + "---|" * 7]
    about = (
        "A recipe is a file of settings: `--recipe NAME`, or the path of one of your own. Flags "
        "override it. Numbers that a paper publishes are for images; ours are in the "
        "[benchmarks](benchmarks.md)."
    )
    return "\n".join(["# Recipes", "", about, "", *table, *rows, *sections])


def _comment(head: str) -> Iterator[str]:
    """Yield the comment of a recipe as paragraphs; commands stay as they are."""
    for line in head.splitlines():
        text = line.removeprefix("#").removeprefix(" ")
        if re.match(r"  +(vidmoco|--)", text):
            yield f"    {text.strip()}"
            continue
        text = re.sub(r"([*_<])", r"\\\1", text.strip())
        new = re.match(r"[A-Z][\w ]{2,40}: ", text)
        yield from ["", text] if new else [text]


def _reference() -> dict[str, str]:
    names = [name for name in vidmoco.__all__ if name != "__version__"]
    pages = {"reference/vidmoco.md": ["# vidmoco", ""]}
    for name in names:
        pages["reference/vidmoco.md"] += [
            f"::: {HOMES.get(name, f'vidmoco.{name}')}", "    options:",
            f"      heading: vidmoco.{name}", "",
        ]  # fmt: skip
    for title, modules in PARTS.items():
        page = f"reference/{title.lower().replace(' ', '_')}.md"
        options = PLAIN if title == "Settings" else ""
        pages[page] = [f"# {title}", "", *(f"::: {module}\n{options}" for module in modules)]
    return {name: "\n".join(lines) for name, lines in pages.items()}


def _example_files() -> Iterator[Path]:
    for path in sorted((ROOT / "examples").rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and path.name[0] != ".":
            yield path


def _examples() -> dict[str, str]:
    """Return a page for each file of ``examples/``, and one that lists them."""
    pages = {}
    index = [
        "# Examples",
        "",
        "Tests run the Python files and the notebooks, and check the others.",
        "",
        "| file | what |",
        "|---|---|",
    ]
    for path in _example_files():
        name = path.relative_to(ROOT).as_posix()
        text = path.read_text()
        if path.suffix == ".ipynb":
            body, _ = _notebook(path)
            about = re.search(r"^# (.*)", body, re.MULTILINE)[1]  # type: ignore[index]
        else:
            kind = {".py": "python", ".yaml": "yaml"}.get(path.suffix, "bash")
            kind = "dockerfile" if path.name == "Dockerfile" else kind
            doc = ast.get_docstring(ast.parse(text)) if path.suffix == ".py" else None
            comment = re.search(r"^# (?!syntax)(?:.*\n#)*.*", text, re.MULTILINE)
            words = re.sub(r"^#", "", comment[0], flags=re.MULTILINE) if comment else ""
            about = " ".join((doc or words).split()).partition(". ")[0].rstrip(".")
            body = f"# {path.name}\n\n```{kind}\n{text}```\n"
        page = _page_of(name)
        pages[page] = body
        index.append(f"| [`{name}`]({posixpath.relpath(page, 'examples')}) | {about} |")
    return {"examples/index.md": "\n".join(index)} | pages


def _notebook(path: Path) -> tuple[str, dict[str, bytes]]:
    """Return a notebook as Markdown, and its pictures."""
    exporter = nbconvert.MarkdownExporter()
    resources = {"unique_key": path.stem, "output_files_dir": path.stem}
    body, resources = exporter.from_filename(str(path), resources=resources)
    return body, resources["outputs"]


def _notebook_pictures() -> dict[str, bytes]:
    notebooks = [path for path in _example_files() if path.suffix == ".ipynb"]
    found = [_notebook(path)[1] for path in notebooks]
    return {f"examples/{name}": data for one in found for name, data in one.items()}
