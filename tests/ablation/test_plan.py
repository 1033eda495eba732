from pathlib import Path

import pytest
from ablations import JUDGE, SMALL, write_ablation

from vidmoco.ablation.plan import load_plan
from vidmoco.errors import ConfigError


def test_rows_have_the_settings_of_all_and_their_own(tmp_path):
    rows = {
        "untrained": {"frozen": "random"},
        "pairs": {},
        "long gap, v2": {"data": {"max_gap": 3.0}, "steps": 9},
        "simclr": {"recipe": "simclr", "method": {"tau": 0.3}, "minutes": 0.5, "videos": "other/"},
    }
    settings = SMALL["settings"] | {"method": {}}
    plan = load_plan(write_ablation(tmp_path, rows=rows, settings=settings, compare=[]))
    untrained, pairs, gap, simclr = plan.rows
    assert plan.seeds == (0, 1)
    assert untrained.frozen == "random" and not pairs.frozen
    assert pairs.config.data.batch_size == 8 and pairs.config.method.name == "moco"
    assert (pairs.steps, pairs.minutes, pairs.config.steps) == (2, None, None)
    assert gap.config.data.max_gap == 3 and gap.config.data.batch_size == 8 and gap.steps == 9
    assert (simclr.steps, simclr.minutes) == (None, 0.5)
    assert simclr.config.method.name == "simclr" and simclr.config.method.tau == 0.3
    assert [str(path) for path in simclr.config.videos] == ["other"]
    assert [str(path) for path in pairs.config.videos] == ["videos"]


def test_a_judge_is_an_evaluation(tmp_path):
    (judge,) = load_plan(write_ablation(tmp_path)).judges
    command = judge.command("runs/a")
    assert command.backbone == ("runs/a",) and command.k == (1,) and command.size == 32
    videos = {"frames_per_class": "min", "labels": "manifest.csv"}
    judges = {"rooms": {"images": "videos", "videos": videos, "overlap": True}}
    (judge,) = load_plan(write_ablation(tmp_path, judges=judges)).judges
    assert judge.overlap and judge.command("random").videos.frames_per_class == "min"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seedz": [1]}, "unknown key 'seedz'. Did you mean 'seeds'"),
        ({"rows": {}}, "at least one row"),
        ({"rows": 3}, "'rows' is 3; it must be a mapping"),
        ({"rows": {"a": {"datas": {}}}}, "row 'a': unknown key 'datas'. Did you mean 'data'"),
        ({"rows": {"a": {"data": {"gap": 1}}}}, r"row 'a': unknown key 'data\.gap'"),
        ({"rows": {"a": {"recipe": "moko"}}}, "row 'a': Unknown recipe 'moko'"),
        ({"rows": {"a": {"seed": 3}}}, "row 'a': 'seed' is given by 'seeds'"),
        ({"settings": {"steps": 3}}, "'steps' is given by .*, beside 'settings'"),
        ({"settings": {"videos": ["v"]}}, "'videos' is given by .*, beside 'settings'"),
        ({"rows": {"x" * 201: {}}}, "it has 201 bytes; take at most 200"),
        ({"rows": {"a/b": {}}}, "the name 'a/b' cannot be a folder's"),
        ({"rows": {"..": {}}}, r"the name '\.\.' cannot be a folder's"),
        ({"rows": {"a": {"frozen": "random", "data": {}}}}, "'frozen' .* stands alone"),
        ({"seeds": []}, r"'seeds' is \[\]; it must be a list"),
        ({"seeds": [1, 1]}, "different whole numbers"),
        ({"seeds": 3}, "'seeds' is 3"),
        ({"steps": None}, "row 'pairs': give either 'steps' or 'minutes'"),
        ({"minutes": 3}, "row 'pairs': give either 'steps' or 'minutes'"),
        ({"steps": 0}, "'steps' is 0"),
        ({"steps": None, "minutes": -1}, "'minutes' is -1"),
        ({"videos": None}, "row 'pairs' has no videos"),
        ({"compare": [["pairs", "kontrol"]]}, "names the row 'kontrol'. Did you mean 'control'"),
        ({"compare": ["pairs"]}, r"must be a list of \[row, row\]"),
        ({"judges": {}}, "at least one row under 'rows' and one under 'judges'"),
        ({"judges": {"a": JUDGE}}, "judge 'a': 'images' is missing"),
        ({"judges": {"a": {"images": "x", "kk": 3}}}, "judge 'a': unknown key 'kk'"),
        ({"judges": {"a": {"images": "x", "k": [0]}}}, "judge 'a': --k is"),
        ({"judges": {"a": {"images": "x", "output": "y"}}}, "the ablation gives 'output'"),
        ({"judges": {"a": {"images": "x", "overlap": 1}}}, "'overlap' is 1"),
    ],
)
def test_mistakes_in_the_file(tmp_path, changes, message):
    path = write_ablation(tmp_path, **changes)
    with pytest.raises(ConfigError, match=message) as error:
        load_plan(path)
    assert str(error.value).startswith(str(path))


def test_no_file_and_no_yaml(tmp_path):
    with pytest.raises(ConfigError, match="There is no file"):
        load_plan(tmp_path / "none.yaml")
    path = tmp_path / "a.yaml"
    path.write_text("rows: [")
    with pytest.raises(ConfigError, match="is not valid YAML"):
        load_plan(path)


def test_the_example_of_the_docs(tmp_path):
    text = (Path(__file__).parents[2] / "docs" / "ablations.md").read_text(encoding="utf-8")
    path = tmp_path / "starts.yaml"
    path.write_text(text.partition("```yaml\n")[2].partition("```")[0])
    plan = load_plan(path)
    assert [row.name for row in plan.rows if row.frozen] == ["untrained", "weights of others"]
    assert len(plan.compare) == 3
