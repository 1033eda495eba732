import numpy as np
import pytest
from explore_features import random_features, write_features

from vidmoco.errors import ConfigError, DataError
from vidmoco.features.feature_file import SUFFIXES
from vidmoco.features.feature_rows import picked, read_extent, read_rows


def save(folder, features, times):
    """Return a feature file of whatever is given."""
    np.save(folder / "a.npy", features)
    np.save(folder / "a.timestamps.npy", times)
    return folder / "a.npy"


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_what_was_written_comes_back_in_pieces(tmp_path, suffix, dtype):
    features, times = random_features(8).astype(dtype), np.arange(8) / 7
    path = write_features(tmp_path / f"a{suffix}", features, times, source=tmp_path / "a.mp4")
    extent = read_extent(path)
    assert (extent.num_rows, extent.dim) == (8, 6)
    np.testing.assert_array_equal(extent.times, times)
    pieces = list(read_rows(path, at_once=3))
    assert max(map(len, pieces)) <= 3
    np.testing.assert_array_equal(np.concatenate(pieces), features)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_that_was_cut_is_told(tmp_path, suffix):
    path = write_features(tmp_path / f"a{suffix}", random_features(50), source=tmp_path / "a.mp4")
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(DataError, match=r"cannot be read as features: .*Extract them again"):
        read_extent(path)
        list(read_rows(path, at_once=10))


@pytest.mark.parametrize(
    ("features", "times", "reason"),
    [
        (np.zeros((3, 2), np.float32), np.arange(2.0), "3 features, and timestamps float64 (2,)"),
        (np.zeros((3, 2), np.float32), np.array([0, 2, 1.0]), "not finite or decrease"),
        (np.zeros((3, 2), np.float32), np.array([0, 1, np.nan]), "not finite or decrease"),
        (np.zeros((3, 2, 2), np.float32), np.arange(3.0), "the shape (3, 2, 2)"),
        (np.zeros((0, 2), np.float32), np.arange(0.0), "0 features of 2 numbers"),
        (np.zeros((3, 2), np.int64), np.arange(3.0), "int64, not floating point"),
    ],
)
def test_what_is_no_feature_of_a_frame_is_told(tmp_path, features, times, reason):
    path = save(tmp_path, features, times)
    with pytest.raises(DataError) as caught:
        read_extent(path)
        list(read_rows(path, at_once=10))
    assert reason in str(caught.value)


@pytest.mark.parametrize("shape", [(10**11, 512), (10**11,), (2**62, 2**62), (-1, 2), (3, 2**40)])
@pytest.mark.parametrize("part", ["a.npy", "a.timestamps.npy"])
def test_a_header_that_claims_more_than_the_file_has(shape, part, tmp_path):
    path = save(tmp_path, np.zeros((3, 2), np.float32), np.arange(3.0))
    header = {"descr": "<f8", "fortran_order": False, "shape": shape}
    with (tmp_path / part).open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.write(bytes(999))
    with pytest.raises(DataError, match="cannot be read as features"):
        read_extent(path)


@pytest.mark.parametrize("descr", ["'V0'", "'<U0'", "'O'", "[('a', 'f4')]", "(" * 9000, "'x'"])
def test_a_header_of_another_kind(descr, tmp_path):
    path = save(tmp_path, np.zeros((3, 2), np.float32), np.arange(3.0))
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': (10**9, 2), }}".encode()
    text = text.replace(b"10**9", b"1000000000")
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(99))
    with pytest.raises(DataError, match=r"cannot be read as features|timestamps"):
        read_extent(path)


def test_objects_are_not_unpickled(tmp_path):
    path = save(tmp_path, np.array([[{}, {}]]), np.zeros(1))
    with pytest.raises(DataError, match="Python objects"):
        read_extent(path)


@pytest.mark.parametrize(
    "given",
    [
        *([0, -1, 4], [], (1, 2), range(2), np.array([4, 0]), np.array([[1], [2]], np.int32)),
        *(3, -5, np.int64(2), slice(1, None), slice(None, None, -2), ..., np.arange(5) > 2),
        [True, False, False, True, False],
    ],
)
def test_rows_are_picked_as_numpy_picks(given):
    plain = list(given) if isinstance(given, tuple | range) else given
    expected = np.arange(5)[plain]
    found = picked(given, 5, "row")
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("given", [5, [-6], np.ones(4, bool), [0.0], "first", {1}])
def test_what_picks_no_rows_is_told(given):
    with pytest.raises(
        ConfigError, match=r"^There are 5 rows, and .* numbers from -5 to 4"
    ) as told:
        picked(given, 5, "row")
    assert "\n" not in str(told.value)


def test_one_row_of_many_needs_no_list_of_all():
    assert picked(-1, 2**62, "row") == 2**62 - 1
    assert picked(np.int64(7), 2**62, "row") == 7
