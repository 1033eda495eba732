"""A local store of MLflow, read back by its client."""

import pytest
from mlflow import MlflowClient
from PIL import Image

from vidmoco.config.pretrain import PretrainConfig
from vidmoco.loggers.mlflow import MLflow
from vidmoco.loggers.protocol import RunToLog

# SQLAlchemy 2.1 warns of what MLflow 3.17 does.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")


@pytest.fixture
def uri(tmp_path, monkeypatch):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri


def steps(client, run, key):
    return [(one.step, one.value) for one in client.get_metric_history(run, key)]


def test_numbers_settings_and_picture_are_read_back_and_it_goes_on(tmp_path, uri, monkeypatch):
    note = {}
    run = RunToLog(tmp_path / "kitchen", PretrainConfig(seed=7), note)
    logger = MLflow(run)
    for step in (2, 4, 6):
        logger.scalars(step, {"loss": 1 / step, "retrieval/2.0": 50.0})
    logger.picture(Image.new("RGB", (9, 5)))  # and is killed
    client = MlflowClient(tracking_uri=uri)
    assert client.get_run(note["id"]).info.status == "RUNNING"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.chdir("/")  # it goes on in the store where it began
    again = MLflow(RunToLog(tmp_path / "kitchen", PretrainConfig(seed=8), note))
    for step in (2, 4, 6, 8):
        again.scalars(step, {"loss": 1 / step, "retrieval/2.0": 50.0, "knn_top1": float(step)})
    again.close(failed=False)
    found = client.get_run(note["id"])
    assert found.info.status == "FINISHED" and found.info.run_name == "kitchen"
    assert steps(client, note["id"], "loss") == [(n, 1 / n) for n in (2, 4, 6, 8)]
    assert steps(client, note["id"], "knn_top1") == [(n, float(n)) for n in (2, 4, 6, 8)]
    assert found.data.params["seed"] == "7" and found.data.params["optim.name"] == "sgd"
    assert len(found.data.params) > 80
    (experiment,) = client.search_experiments(filter_string="name = 'vidmoco'")
    assert len(client.search_runs([experiment.experiment_id])) == 1
    assert {one.path for one in client.list_artifacts(note["id"])} == {"config.yaml", "pairs.png"}


def test_another_store_in_the_variable_does_not_hide_the_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    note = {}
    run = RunToLog(tmp_path / "kitchen", PretrainConfig(), note)
    MLflow(run).close(failed=True)  # in mlflow.db of the working folder
    client = MlflowClient(tracking_uri=note["uri"])
    assert client.get_run(note["id"]).info.status == "FAILED"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/other.db")
    again = MLflow(run)
    again.scalars(3, {"loss": 1.0})
    again.close(failed=False)
    assert client.get_run(note["id"]).info.status == "FINISHED"
    assert steps(client, note["id"], "loss") == [(3, 1.0)]
