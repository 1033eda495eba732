import json

import pytest

from vidmoco.errors import ConfigError
from vidmoco.evaluate.results import require_writable, write_results


def test_the_file_is_whole_or_the_old_one(tmp_path):
    path = tmp_path / "r.json"
    write_results(path, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_results(path, {"a": float("nan")})
    assert json.loads(path.read_text()) == {"a": 1}


def test_outputs_that_cannot_be_written(tmp_path):
    with pytest.raises(ConfigError, match=r"a folder; give a file, such as .*results.json"):
        require_writable(tmp_path)
    with pytest.raises(ConfigError, match=r"a name that ends in .json"):
        require_writable(tmp_path / "results.csv")
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match=r"file is a file, not a folder. Give another --output"):
        require_writable(tmp_path / "file" / "results.json")
    require_writable(tmp_path / "new" / "results.json")
    assert list((tmp_path / "new").iterdir()) == []


def test_a_matrix_takes_a_line_for_each_row(tmp_path):
    results = {"rows": [{"m": [[7] * 1000] * 1000, "x": [1.5, 2], "mixed": [1, "a"]}], "none": []}
    results["texts"] = ["[1]", 'a"b', "numbers: 1"]
    write_results(tmp_path / "r.json", results)
    assert json.loads((tmp_path / "r.json").read_text()) == results
    assert (tmp_path / "r.json").stat().st_size < 2.1e6
