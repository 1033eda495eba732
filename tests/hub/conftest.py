import pytest
from fake_hub import FakeHub
from huggingface_hub import constants


@pytest.fixture
def fake_hub(tmp_path, monkeypatch):
    """The Hub that huggingface_hub talks to, with the token of alice."""
    hub = FakeHub()
    template = hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", "hf_alice")
    yield hub
    hub.server.shutdown()
    hub.server.server_close()
