import pytest

from vidmoco.content import content_of, hash_of_bytes, hash_of_file, hashes_of_files


@pytest.mark.parametrize("size", [0, 1, 49_152, 49_153, 300_000, 5_000_000, 40_000_000])
def test_head_middle_and_tail_count(tmp_path, size):
    path = tmp_path / "file"
    data = bytearray(size)
    path.write_bytes(data)
    assert hash_of_file(path) == hash_of_bytes(bytes(data))
    seen = {hash_of_file(path)}
    places = {0, size // 2, size - 1} if size else set()
    for place in places:
        data[place] = 1
        seen.add(hash_of_bytes(bytes(data)))
        data[place] = 0
    assert len(seen) == 1 + len(places)
    assert hash_of_bytes(bytes(size + 1)) not in seen


def test_a_small_file_counts_whole():
    data = bytearray(40_000)
    seen = set()
    for place in range(0, len(data), 997):
        data[place] += 1
        seen.add(hash_of_bytes(bytes(data)))
    assert len(seen) == len(range(0, len(data), 997))


def test_what_cannot_be_read_has_none(tmp_path):
    (tmp_path / "a").write_bytes(b"a")
    assert content_of(tmp_path / "none") == ""
    assert list(hashes_of_files([tmp_path / "a", tmp_path / "none"])) == [hash_of_bytes(b"a"), ""]
