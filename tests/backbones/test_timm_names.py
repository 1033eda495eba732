import subprocess
import sys

import pytest
import timm
from timm.models import is_model

from vidmoco.backbones import timm_names
from vidmoco.backbones.build import build_backbone
from vidmoco.backbones.timm_names import require_sources
from vidmoco.errors import ConfigError


@pytest.fixture
def without_timm(monkeypatch):
    """As in a command that has not imported it yet."""
    names = [name for name in timm.list_models() if not name.startswith("vidmoco_")]
    monkeypatch.delitem(sys.modules, "timm")
    timm_names._names.cache_clear()
    monkeypatch.setattr(timm_names.importlib.util, "find_spec", lambda name: timm.__spec__)
    return names


def test_every_name_of_timm_is_known(without_timm, monkeypatch):
    text = timm_names._text_of_models()
    monkeypatch.setattr(timm_names, "_text_of_models", lambda: text)
    assert len(without_timm) > 1000
    assert set(timm_names._NETWORK.findall(text)) == set(without_timm)
    require_sources("resnet50", "random:resnet18", "resnet50.a1_in1k", None)
    require_sources("vit_tiny_patch16_224_in21k")  # a name that timm has given up
    require_sources("vidmoco_kitchen", "hf-hub:alice/kitchen")  # not timm's
    assert is_model("vit_tiny_patch16_224_in21k")


def test_the_error_is_that_of_a_build(without_timm, monkeypatch):
    with pytest.raises(ConfigError, match="Did you mean 'resnet50'") as early:
        require_sources("resnet5O")
    monkeypatch.undo()
    with pytest.raises(ConfigError) as late:
        build_backbone("resnet5O", size=64)
    assert str(early.value) == str(late.value)


def test_timm_judges_where_its_files_are_laid_out_otherwise(without_timm, monkeypatch):
    monkeypatch.setattr(timm_names, "_text_of_models", lambda: "")
    require_sources("resnet5O")


def test_who_has_imported_timm_may_have_more_names(monkeypatch):
    timm_names._names.cache_clear()
    monkeypatch.setattr(timm, "is_model", lambda name: name == "resnet_of_mine")
    require_sources("resnet_of_mine", "resnet50")
    with pytest.raises(ConfigError, match="Did you mean 'resnet50'"):
        require_sources("resnet5O")


def test_paths(tmp_path):
    with pytest.raises(ConfigError, match="There is no backbone at"):
        require_sources("resnet50", str(tmp_path / "nowhere"))


def test_nothing_is_imported():
    code = "import sys; from vidmoco.backbones.timm_names import require_sources as require;"
    code += "require('resnet50'); print({'timm', 'torch', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
