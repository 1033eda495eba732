import pytest
from painted_videos import write_videos

from vidmoco.cli.flags import parse
from vidmoco.cli.main import main
from vidmoco.cli.pretrain import run_pretrain
from vidmoco.config.commands import PretrainCommand
from vidmoco.config.methods import SimCLRConfig
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.config.recipe import dump_recipe
from vidmoco.errors import ConfigError


def command(*words):
    return parse(PretrainCommand, words, prog="vidmoco pretrain")


def test_a_resumed_run_keeps_its_method(tmp_path, capsys):
    run = tmp_path / "run"
    run.mkdir()
    config = PretrainConfig(videos=(tmp_path,), method=SimCLRConfig(tau=0.3))
    (run / "config.yaml").write_text(dump_recipe(config))
    resume = ["--run", str(run), "--resume"]
    assert command(*resume).config == config
    assert command(*resume, "--method.name", "simclr").config == config
    assert main(["pretrain", *resume, "--method.name", "moco"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "Saved and given settings differ in method.name: 'simclr' and 'moco'. Leave" in line


def test_mistakes_are_told_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_videos(tmp_path / "v", 1)
    with pytest.raises(ConfigError, match="No videos given"):
        run_pretrain(command())
    with pytest.raises(ConfigError, match="No such file or folder: nowhere"):
        run_pretrain(command("nowhere"))
    (tmp_path / "list.txt").write_text("v\ngone.mp4\n")
    with pytest.raises(ConfigError, match=r"list\.txt, line 2: there is no file or folder"):
        run_pretrain(command("@list.txt"))
    with pytest.raises(ConfigError, match=r"There is no backbone at \./gone"):
        run_pretrain(command("v", "--backbone.weights", "./gone"))
    with pytest.raises(
        ConfigError, match=r"list\.txt is a file, not a folder\. Give another --run"
    ):
        run_pretrain(command("v", "--run", "list.txt"))
    with pytest.raises(
        ConfigError, match=r"list\.txt is a file, not a folder\. Give another --run"
    ):
        run_pretrain(command("v", "--run", "list.txt/run"))
    with pytest.raises(ConfigError, match="Unknown device 'gpu'"):
        run_pretrain(command("v", "--device", "gpu"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(ConfigError, match="The device 'cuda' is not here"):
        command("v", "--device", "cuda", "--batch-size", "8")  # of a recipe for a GPU
    with pytest.raises(ConfigError, match="The device 'cuda' is not here"):
        run_pretrain(command("v", "--device", "cuda"))
    with pytest.raises(ConfigError, match=r"segment-seconds is 60, and the longest video lasts 1"):
        run_pretrain(command("v", "--data.segment-seconds", "60", "--device", "cpu"))
    assert not list(tmp_path.glob("runs/*"))
