import xml.etree.ElementTree as ET

from ablations import write_ablation

from vidmoco.ablation.plan import load_plan
from vidmoco.ablation.summary import summarise
from vidmoco.ablation.table import charts, markdown

SCORES = {
    ("untrained", 0): {"set": {"k-NN 1": 10.0}},
    ("untrained", 1): {"set": {"k-NN 1": 10.0}},
    ("pairs", 0): {"set": {"k-NN 1": 31.0}},
    ("pairs", 1): {"set": {"k-NN 1": 35.0}},
    ("control", 0): {"set": {"k-NN 1": 30.0}},
    ("control", 1): {"set": {"k-NN 1": 30.0}},
}


def test_markdown(tmp_path):
    plan = load_plan(write_ablation(tmp_path))
    summary = summarise(plan, SCORES, {"pairs": 1155, "control": 8})
    text = markdown(plan, summary, command="python x", failures=["a-seed0 ended"])
    lines = text.splitlines()
    assert lines[0] == "Accuracy in percent, 2 seeds: mean ± standard deviation."
    assert "|  | steps | set, k-NN 1 |" in lines
    assert "| untrained |  | 10.0 |" in lines
    assert "| pairs | 1,155 | **33.0** ± 2.8 |" in lines
    assert "| control | 8 | 30.0 ± 0.0 |" in lines
    assert "| pairs - control | +3.0 (-22.4 to +28.4) |" in lines
    assert "FAILED a-seed0 ended" in lines and "    python x" in lines


def test_a_table_of_nothing_yet(tmp_path):
    plan = load_plan(write_ablation(tmp_path))
    text = markdown(plan, summarise(plan, {}, {}), command="x", failures=[])
    assert "| pairs |  |" in text
    assert charts(summarise(plan, {}, {})) == {}


def test_a_chart_has_a_dot_for_each_seed(tmp_path):
    plan = load_plan(write_ablation(tmp_path))
    drawn = charts(summarise(plan, SCORES, {}))
    assert list(drawn) == ["set"]
    root = ET.fromstring(drawn["set"])
    dots = [one for one in root.iter() if one.tag.endswith("circle")]
    assert len(dots) == 1 + 2 + 2
    places = {float(dot.get("cx")) for dot in dots}
    assert len(places) == 4 and min(places) >= 190 and max(places) <= 640
    assert "pairs" in drawn["set"]
