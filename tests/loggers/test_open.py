"""Trainings that are shown by all loggers, and loggers that cannot."""

import io

import pytest
from mlflow import MlflowClient
from painted_videos import write_videos
from PIL import Image
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_run import TINY, numbers, signal_in

from vidmoco import distributed
from vidmoco.cli.main import main
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.config.runtime import EngineConfig
from vidmoco.errors import ConfigError
from vidmoco.json_lines import read_metrics
from vidmoco.json_text import read_json
from vidmoco.loggers import open as opening
from vidmoco.loggers.open import Loggers, open_loggers
from vidmoco.loggers.tensorboard import TensorBoard

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")
WORDS = [*TINY, "--backbone.name", "test_resnet", "--steps", "4", "--run", "run", "--log"]


@pytest.fixture
def videos(tmp_path):
    write_videos(tmp_path / "videos", 8)
    return ["pretrain", "videos"]


def config(*names):
    return PretrainConfig(engine=EngineConfig(log=names))


def test_a_training_is_shown_whole_and_once(videos, tmp_path, make_images):
    make_images()
    words = [*videos, *WORDS, "tensorboard", "wandb", "mlflow", "--resume", "auto"]
    words += ["--monitor", "images", "--monitor.k", "3"]
    with signal_in(2):
        assert main(words) == 143
    assert main(words) == 0
    lines, measured = numbers(tmp_path / "run"), read_metrics(tmp_path / "run" / "monitor.jsonl")
    assert [line["step"] for line in measured] == [0, 1, 2, 3, 4]
    truth = {
        **{
            name: [(one["step"], one[name]) for one in lines] for name in lines[0] if name != "step"
        },
        "knn_top1": [(one["step"], one["knn_top1"]) for one in measured],
    }
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"), purge_orphaned_data=False)
    events.Reload()
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    of_mlflow = read_json(tmp_path / "run" / "loggers.json")["mlflow"]["id"]
    for name, values in truth.items():
        shown = [(one.step, one.value) for one in events.Scalars(name)]
        assert shown == [(step, pytest.approx(value, rel=1e-5)) for step, value in values]
        kept = [(one.step, one.value) for one in client.get_metric_history(of_mlflow, name)]
        assert sorted(kept) == values
    assert len(events.Images("pairs")) == 1
    assert (tmp_path / "run" / "pairs.png").is_file()
    assert len(list((tmp_path / "run" / "wandb").glob("offline-run-*"))) == 1


def test_a_logger_that_is_not_there_ends_the_command_before_the_training(
    videos, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(opening, "find_spec", lambda name: None)
    assert main([*videos, *WORDS, "mlflow"]) == 2
    (line,) = [one for one in capsys.readouterr().err.splitlines() if one.startswith("vidmoco: ")]
    assert "--log mlflow needs a package that is not installed: pip install 'vidmoco[" in line
    assert not (tmp_path / "run").exists()


def test_a_logger_that_refuses(videos, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert main([*videos, *WORDS, "tensorboard", "mlflow"]) == 2
    (line,) = [one for one in capsys.readouterr().err.splitlines() if one.startswith("vidmoco: ")]
    assert "--log mlflow cannot begin: " in line and "127.0.0.1" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("words", [["--log", "tensorbord"], ["--log", "wandb", "comet"]])
def test_a_name_that_is_none(videos, words, capsys):
    with pytest.raises(SystemExit) as exit_:
        main([*videos, *words])
    assert exit_.value.code == 2
    assert "tensorboard" in capsys.readouterr().err


class Broken:
    def scalars(self, step, values):
        if step == 2:
            raise RuntimeError("the server\nis gone")
        self.step = step

    def picture(self, image):
        raise AssertionError("it has no picture")

    def close(self, *, failed):
        raise OSError


def test_a_logger_that_fails_costs_a_line_and_not_the_run(tmp_path):
    told = io.StringIO()
    console = Console(file=told, width=200)
    broken, fails_at_the_end = Broken(), Broken()
    loggers = Loggers({"a": broken, "b": fails_at_the_end}, tmp_path / "pairs.png", console)
    loggers.metrics({"step": 1, "loss": 1.0})
    loggers.monitor({"step": 1, "failure": "not finite"})
    loggers.metrics({"step": 2, "loss": 1.0})
    loggers.metrics({"step": 3, "loss": 1.0})
    assert broken.step == 1
    assert told.getvalue().splitlines() == [
        "The training goes on without a: the server",
        "The training goes on without b: the server",
    ]
    with Loggers({"c": Broken()}, tmp_path / "pairs.png", console):
        pass
    assert "without c: OSError" in told.getvalue()


def test_one_process_of_a_job_logs(tmp_path, monkeypatch):
    monkeypatch.setattr(distributed, "is_main", lambda: False)
    loggers = open_loggers(tmp_path, config("tensorboard"), step=0, console=Console(quiet=True))
    assert not loggers.wants_picture and not list(tmp_path.iterdir())
    monkeypatch.undo()
    assert open_loggers(tmp_path, config(), step=0, console=Console()).wants_picture is False
    assert not list(tmp_path.iterdir())


def test_what_began_is_closed_where_another_refuses(tmp_path, monkeypatch):
    closed = []
    close = TensorBoard.close

    def noted(self, *, failed):
        closed.append(failed)
        close(self, failed=failed)

    monkeypatch.setattr(TensorBoard, "close", noted)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://x")
    with pytest.raises(ConfigError, match="--log mlflow cannot begin"):
        open_loggers(tmp_path, config("tensorboard", "mlflow"), step=0, console=Console())
    assert closed == [True]
    with open_loggers(tmp_path, config("tensorboard"), step=0, console=Console()):
        pass
    assert closed == [True, False]


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_damaged_notes_begin_the_loggers_anew(text, tmp_path):
    (tmp_path / "loggers.json").write_text(text)
    with open_loggers(tmp_path, config("tensorboard"), step=0, console=Console()):
        pass
    assert "tensorboard" in read_json(tmp_path / "loggers.json")


class Gallery(Broken):
    def picture(self, image):
        self.size = image.size


def shown_by(tmp_path, logger):
    told = io.StringIO()
    path = tmp_path / "pairs.png"
    return Loggers({"a": logger}, path, Console(file=told, width=200)), path, told


def test_a_picture_that_cannot_be_drawn_costs_a_line_and_is_not_tried_again(tmp_path):
    loggers, path, told = shown_by(tmp_path, Gallery())

    def fails():
        raise OSError("File too large")

    assert loggers.wants_picture
    loggers.picture(fails)
    assert told.getvalue() == "The training goes on without pairs.png: File too large\n"
    assert not loggers.wants_picture and not path.exists()


def test_a_damaged_picture_is_drawn_again(tmp_path):
    logger = Gallery()
    loggers, path, told = shown_by(tmp_path, logger)
    path.write_bytes(b"half")
    loggers.show_picture()
    assert loggers.wants_picture and not told.getvalue()
    loggers.picture(lambda: Image.new("RGB", (4, 3)))
    assert logger.size == (4, 3) and not loggers.wants_picture
    logger.size = None
    shown_by(tmp_path, logger)[0].show_picture()
    assert logger.size == (4, 3)


def test_no_password_is_told(tmp_path):
    loggers, _, told = shown_by(tmp_path, Gallery())

    def fails():
        raise OSError("no answer of https://me:secret@host/x")

    loggers.picture(fails)
    assert "https://host/x" in told.getvalue() and "secret" not in told.getvalue()


def test_a_function_gets_the_lines_that_come_and_what_it_raises_is_kept(tmp_path, monkeypatch):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": 1.0}\n')
    seen = []

    def on_log(line):
        seen.append(line)
        if line["step"] == 3:
            raise SystemExit(4)

    given = {"step": 1, "console": Console(quiet=True), "on_log": on_log}
    with open_loggers(tmp_path, config("tensorboard"), **given) as loggers:
        for step in (2, 3, 4):
            loggers.metrics({"step": step, "loss": 1.0})
    assert [line["step"] for line in seen] == [2, 3]
    assert isinstance(loggers.failure, SystemExit)
    monkeypatch.setattr(distributed, "is_main", lambda: False)
    open_loggers(tmp_path, config(), **given).metrics({"step": 5, "loss": 1.0})
    assert len(seen) == 2
