from pathlib import Path

import pytest
from huggingface_hub.utils import validate_repo_id

from vidmoco.config.commands import ExportCommand
from vidmoco.errors import ConfigError


def command(to, **more):
    return ExportCommand(run=Path("run"), to=to, **more)


@pytest.mark.parametrize(
    "name",
    ["a/b", "Al-1_x/k.v2", "a/b/c", "-a/b", "a/b-", "a/.b", "a/b--c", "a/b..c", "a/b.git", "ä/b",
     "a b/c", "", "a/" + "b" * 96, "a/" + "b" * 97],
)  # fmt: skip
def test_names_of_repositories_are_those_of_the_hub(name):
    try:
        validate_repo_id(name)
    except ValueError:
        with pytest.raises(ConfigError, match=r"--to is 'hub:.*expected hub:USER/NAME"):
            command(f"hub:{name}", license="mit")
    else:
        assert command(f"hub:{name}", license="mit").repository == name


@pytest.mark.parametrize(
    ("to", "flags", "error"),
    [
        ("hub:kitchen", {"license": "mit"}, "expected hub:USER/NAME"),
        ("torchvison", {}, "Did you mean 'torchvision'"),
        ("hub", {}, "Expected one of timm, .*, hf-folder, or hub:USER/NAME"),
        ("hub:a/b", {}, "publishes the weights: say by --license"),
        ("hub:a/b", {"license": "apache2"}, "Did you mean 'apache-2.0'"),
        ("hub:a/b", {"license": "mit", "output": Path("x")}, "takes no --output"),
        ("hub:a/b", {"license": "mit", "name": "x"}, "no --name"),
        ("hf-folder", {}, "writes a folder: it needs -o FOLDER"),
        ("hf-folder", {"output": Path("x"), "private": True}, "--private is for --to hub:"),
        ("moco", {"output": Path("x"), "license": "mit"}, "--license and --results are for"),
        ("timm", {"name": "x", "results": (Path("r.json"),)}, "--license and --results are for"),
    ],
)
def test_flags_that_do_not_go_together(to, flags, error):
    with pytest.raises(ConfigError, match=error):
        command(to, **flags)


def test_a_folder_needs_no_licence():
    assert command("hf-folder", output=Path("x")).license is None
