import subprocess
import sys
from pathlib import Path

import pytest

from vidmoco.backbones.source import backbone_folder, parse_source, require_checkpoint
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


def test_a_file_says_what_to_name_in_its_place(trained, tmp_path):
    folder = trained[1]
    lone, run = tmp_path / "s d.pt", tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    checkpoint = run / "checkpoints" / "step_00000001.pt"
    for path in (lone, checkpoint, run / "config.yaml"):
        path.touch()
    expected = {
        lone: f"and name that: vidmoco import '{lone}' -o FOLDER",
        folder / "model.safetensors": f"Name its folder: {folder}",
        checkpoint: f"Name its run: {run}",
        run / "config.yaml": f"Name its run: {run}",
    }
    for path, advice in expected.items():
        for source in (path, str(path), f"random:{path}"):
            with pytest.raises(ConfigError, match="is a file, and a backbone is a folder") as error:
                parse_source(source)
            assert str(error.value).endswith(advice)


def test_what_needs_no_import(trained, tmp_path, monkeypatch):
    folder, run = trained[1], tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.yaml").touch()
    monkeypatch.chdir(run / "checkpoints")
    Path("a.pt").touch()
    told = {
        run / "checkpoints" / "a.pt": f"--backbone {run}. A run that was killed",
        Path("a.pt"): f"--backbone {run}. A run that was killed",
        run: "is a run folder, which needs no import",
        folder: f"is a backbone folder, which needs no import. Name it where a backbone is wanted: "
        f"--backbone {folder}",
        tmp_path: "is a folder; expected the file of a checkpoint",
    }
    for path, text in told.items():
        with pytest.raises(ConfigError) as refused:
            require_checkpoint(path)
        assert text in str(refused.value)
    (tmp_path / "a.pt").touch()
    require_checkpoint(tmp_path / "a.pt")


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
