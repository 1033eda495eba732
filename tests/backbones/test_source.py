import subprocess
import sys
from pathlib import Path

import pytest

from vidmoco.backbones.source import backbone_folder, parse_source
from vidmoco.errors import ConfigError


def test_a_run_a_folder_and_a_timm_name(trained):
    _, folder = trained
    for source in (folder.parent, str(folder.parent), folder, str(folder)):
        assert backbone_folder(source) == folder
    assert backbone_folder("resnet18") is None
    assert backbone_folder("hf-hub:timm/resnet18") is None


def test_paths_where_nothing_is_say_what_may_be_given(tmp_path):
    for source in ("there/is/none", "./none", "random:./none", tmp_path / "none", Path("none")):
        with pytest.raises(ConfigError) as refused:
            parse_source(source)
        for part in ("no backbone at", "run folder", "timm name", "hf-hub:", "random:"):
            assert part in str(refused.value)


@pytest.mark.parametrize(
    ("text", "name", "architecture", "names_weights"),
    [
        ("resnet18", "resnet18", "resnet18", False),
        ("resnet18.a1_in1k", "resnet18.a1_in1k", "resnet18", True),
        ("random:resnet18.a1_in1k", "resnet18.a1_in1k", "resnet18", False),
        ("hf-hub:a/b.c", "hf-hub:a/b.c", "hf-hub:a/b.c", True),
        ("RUN", "local-dir:RUN/backbone", "resnet18", True),
        ("random:RUN", "local-dir:RUN/backbone", "resnet18", False),
    ],
)
def test_what_each_kind_of_source_means(trained, text, name, architecture, names_weights):
    run = str(trained[1].parent)
    source = parse_source(text.replace("RUN", run))
    assert source.name == name.replace("RUN", run)
    assert source.architecture == architecture
    assert source.names_weights == names_weights
    assert source.is_random == text.startswith("random:")


def test_a_home_folder_is_found(trained, monkeypatch):
    monkeypatch.setenv("HOME", str(trained[1].parent.parent))
    assert parse_source("~/run").folder == trained[1]


def test_the_grammar_needs_no_torch():
    code = "import sys, vidmoco.backbones.source; assert not {'torch', 'timm'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
