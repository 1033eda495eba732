"""Names, lists and times are in test_extract_command.py, labels in test_extract_outputs.py."""

from vidmoco.features import extract_plan
from vidmoco.features.dataset_part import schema_of
from vidmoco.features.extract_plan import output_of


def test_a_name_without_room_is_cut(tmp_path):
    assert output_of(tmp_path, "deep/a.mp4", ".npy") == tmp_path / "deep" / "a.mp4.npy"
    path = output_of(tmp_path, "x" * 251 + ".mp4", ".npy")
    assert len(path.name) < 230 and path.name.endswith(".mp4.npy") and "~" in path.name


def test_no_label_may_be_called_like_a_column():
    settings = {"dtype": "float32", "row_shape": [4], "labels": []}
    columns = {*schema_of(settings).names, *schema_of(settings | {"pool": "mean"}).names}
    assert columns == extract_plan._COLUMNS
