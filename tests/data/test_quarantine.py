import pytest

from vidmoco.data.order import Place
from vidmoco.data.quarantine import Quarantine
from vidmoco.errors import CheckpointError


def test_a_video_is_skipped_from_its_place_on():
    quarantine = Quarantine()
    quarantine.add(3, Place(1, 20), "a.mp4", "it hangs")
    assert quarantine.reason(3, Place(1, 19)) == ""
    assert quarantine.reason(3, Place(0, 99)) == ""
    assert quarantine.reason(3, Place(1, 20)) == "it hangs"
    assert quarantine.reason(3, Place(2, 0)) == "it hangs"
    assert quarantine.reason(4, Place(2, 0)) == ""


def test_the_earliest_place_counts():
    quarantine = Quarantine()
    quarantine.add(3, Place(1, 20), "a.mp4", "it hangs")
    quarantine.add(3, Place(1, 5), "a.mp4", "it crashes")
    quarantine.add(3, Place(1, 7), "a.mp4", "it hangs")
    assert quarantine.reason(3, Place(1, 5)) == "it crashes"


def test_a_run_that_resumes_knows_the_same(tmp_path):
    path = tmp_path / "quarantine.jsonl"
    quarantine = Quarantine(path)
    assert not path.exists()
    quarantine.add(3, Place(1, 20), "ü\n.mp4", "it hangs")
    quarantine.add(4, Place(0, 2), "b.mp4", "it crashes")
    again = Quarantine(path)
    for row, place in [(3, Place(1, 19)), (3, Place(1, 20)), (4, Place(0, 1)), (4, Place(0, 2))]:
        assert again.reason(row, place) == quarantine.reason(row, place)


def test_what_another_process_found_is_known(tmp_path):
    Quarantine(tmp_path / "quarantine-1.jsonl").add(3, Place(1, 20), "a.mp4", "it hangs")
    fewer = Quarantine(tmp_path / "quarantine.jsonl")
    assert fewer.reason(3, Place(1, 20)) == "it hangs"
    fewer.add(4, Place(0, 2), "b.mp4", "it crashes")
    assert len((tmp_path / "quarantine.jsonl").read_text().splitlines()) == 1


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "quarantine.jsonl"
    path.write_text('{"row": 1')  # the machine went down while it was written
    assert Quarantine(path).reason(1, Place(9, 9)) == ""
    Quarantine(path).add(2, Place(1, 0), "b.mp4", "it hangs")
    assert Quarantine(path).reason(2, Place(1, 0)) == "it hangs"
    for text in ("no json\n", '{"row": 1}\n'):
        path.write_text(text)
        with pytest.raises(CheckpointError, match=r"quarantine\.jsonl"):
            Quarantine(path)
