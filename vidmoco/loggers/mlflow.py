"""MLflow, where ``MLFLOW_TRACKING_URI`` says; else in mlflow.db of the working folder."""

import logging
import os
from collections.abc import Mapping
from itertools import islice
from time import time

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode
from PIL import Image

from vidmoco.config.recipe import dump_recipe, flat_settings
from vidmoco.loggers.protocol import RunToLog
from vidmoco.urls import without_passwords

# Without these a server that is gone holds the training for minutes: 7 tries of 120 s.
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
_MOST_PARAMS = 100  # in a request
_LONGEST_PARAM = 500  # characters, of older servers


class MLflow:
    """Goes on with the run in the store where it began. A metric has each step once."""

    def __init__(self, run: RunToLog) -> None:
        for name, value in _PATIENCE.items():
            os.environ.setdefault(name, value)
        for name in ("mlflow", "alembic"):  # they tell of every table that they make
            logging.getLogger(name).setLevel(logging.WARNING)
        note = run.note
        uri = os.environ.get("MLFLOW_TRACKING_URI") or note.get("uri") or mlflow.get_tracking_uri()
        self._client = MlflowClient(tracking_uri=uri)
        self._known: set[tuple[str, int]] = set()
        if "id" in note and not self._has(note["id"]):  # the variable is new, or names another
            self._client = MlflowClient(tracking_uri=note["uri"])
        if "id" not in note:
            name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "vidmoco")
            experiment = self._client.get_experiment_by_name(name)
            home = experiment.experiment_id if experiment else self._client.create_experiment(name)
            begun = self._client.create_run(home, run_name=run.folder.name)
            # No password of the environment goes into a file: a start that goes on has it again.
            note |= {"id": begun.info.run_id, "uri": without_passwords(uri)}
        self._id = note["id"]
        before = self._client.get_run(self._id).data
        self._client.update_run(self._id, status="RUNNING")
        for key in before.metrics:
            self._known |= {
                (key, one.step) for one in self._client.get_metric_history(self._id, key)
            }
        params = (
            Param(key, str(value)[:_LONGEST_PARAM])
            for key, value in flat_settings(run.config).items()
            if key not in before.params  # they cannot change
        )
        while some := list(islice(params, _MOST_PARAMS)):
            self._client.log_batch(self._id, params=some)
        self._client.log_text(self._id, dump_recipe(run.config), "config.yaml")

    def _has(self, run: str) -> bool:
        try:
            self._client.get_run(run)
        except MlflowException as error:
            if error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
                return False
            raise
        return True

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Log scalars under their names, except those that the store has of this step."""
        now = int(time() * 1000)
        new = [
            Metric(name, value, now, step)
            for name, value in values.items()
            if (name, step) not in self._known
        ]
        if new:
            self._client.log_batch(self._id, metrics=new)

    def picture(self, image: Image.Image) -> None:
        """Write the artifact ``pairs.png``."""
        self._client.log_image(self._id, image, "pairs.png")

    def close(self, *, failed: bool) -> None:
        """Say how the run has ended. One that goes on is running again."""
        self._client.set_terminated(self._id, status="FAILED" if failed else "FINISHED")
