import pytest

from vidmoco.video import open_catalog as catalog_module


@pytest.fixture
def scans(monkeypatch):
    """What ``scan_videos`` was called with: (sources, number of rows known before)."""
    calls = []
    real = catalog_module.scan_videos

    def noted(sources, *, previous, workers, progress, **limits):
        calls.append((sources, None if previous is None else len(previous)))
        return real(sources, previous=previous, workers=1, progress=False, **limits)

    monkeypatch.setattr(catalog_module, "scan_videos", noted)
    return calls
