import importlib.util
import sys
from pathlib import Path

import pytest
from ablations import write_ablation

from vidmoco.ablation.plan import load_plan

TOOLS = Path(__file__).parents[2] / "tools"
spec = importlib.util.spec_from_file_location("ablate", TOOLS / "ablate.py")
tool = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = tool  # where tyro looks for the help of the flags
spec.loader.exec_module(tool)


def test_mistakes_are_one_line(tmp_path, capsys):
    assert tool.main([str(tmp_path / "a.yaml"), "-o", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == f"ablate: There is no file {tmp_path / 'a.yaml'}.\n"
    file = write_ablation(tmp_path, videos=tmp_path, images=tmp_path / "nowhere")
    with pytest.raises(SystemExit, match="2"):
        tool.main([str(file), "-o", str(tmp_path / "out"), "--jobs", "0"])
    assert "--jobs is 0; it must be 1 or more" in capsys.readouterr().err
    assert tool.main([str(file), "-o", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("path", sorted((TOOLS / "ablations").glob("*.yaml")), ids=lambda p: p.stem)
def test_the_ablations_of_the_benchmarks_are_valid(path):
    plan = load_plan(path)
    assert plan.rows and plan.judges and plan.compare
    assert path.name in (TOOLS.parent / "docs" / "benchmarks.md").read_text(encoding="utf-8")
