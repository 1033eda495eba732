import pytest

from vidmoco.config.methods import METHOD_CONFIGS
from vidmoco.hub.papers import citation


@pytest.mark.parametrize("method", METHOD_CONFIGS)
def test_every_method_has_its_papers(method):
    entries = citation(method)
    assert entries, f"Add the paper of {method} to _BIBTEX and _PAPERS of vidmoco/hub/papers.py."
    assert entries.startswith("```bibtex\n@") and entries.endswith("\n```")
    assert entries.count("{") == entries.count("}")
    assert entries.count("author=") == (2 if method == "moco" else 1)


def test_no_method():
    assert citation("") == ""
