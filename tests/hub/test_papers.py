import pytest

from vidmoco.config.methods import METHOD_CONFIGS
from vidmoco.hub.papers import citation


@pytest.mark.parametrize("method", METHOD_CONFIGS)
def test_every_method_has_its_papers(method):
    entries = citation(method)
    assert entries.startswith("```bibtex\n@") and entries.endswith("\n```")
    assert entries.count("{") == entries.count("}")
    assert entries.count("author=") == (2 if method == "moco" else 1)


def test_no_method():
    assert citation("") == ""
