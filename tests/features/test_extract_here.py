"""What one process does; how processes share videos is in test_extract_many.py."""

from pathlib import Path

from vidmoco.backbones.frozen import load_frozen
from vidmoco.config.extract import ExtractCommand
from vidmoco.features import extract_here as module
from vidmoco.features.claims import Worker
from vidmoco.features.extract_here import extract_here
from vidmoco.features.extract_outputs import FileOutput
from vidmoco.features.extraction import Extraction
from vidmoco.features.output_folder import output_folder
from vidmoco.video.info import VideoInfo


def test_a_fetched_file_is_deleted_and_a_file_of_the_user_is_not(tmp_path, monkeypatch, backbone):
    """A video of a URL that another process has written was not fetched here."""
    temporary, elsewhere = tmp_path / "temporary", tmp_path / "elsewhere"
    ones = []
    for folder in (temporary, elsewhere):
        folder.mkdir()
        (folder / "a.mp4").touch()
        info = VideoInfo(root=str(folder), key="a.mp4", num_bytes=0, mtime_ns=0)
        ones.append(Extraction(info, Path(), name=folder.name, url="https://x/a.mp4"))
    reports = [(ones[0], 3, ["lost"]), (ones[1], None, ())]
    monkeypatch.setattr(module, "extract_many", lambda *_, **options: iter(reports))
    command = ExtractCommand(videos=(Path("v"),), output=tmp_path)
    frozen, folder = load_frozen(str(backbone)), output_folder(tmp_path / "feats")
    with Worker(folder) as worker:
        output = FileOutput(folder, worker, frozen, command)
        found = extract_here(frozen, ones, output, worker, command, temporary, None)
        assert list(found) == reports
    assert not (temporary / "a.mp4").exists() and (elsewhere / "a.mp4").exists()
