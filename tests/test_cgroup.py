import pytest

from vidmoco.cgroup import cpu_limit, memory_limit


def tree(tmp_path, own, **files):
    """Write /proc/self/cgroup and files of a mount; return both."""
    (tmp_path / "own").write_text(own)
    for name, text in files.items():
        path = tmp_path / "mount" / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "mount", tmp_path / "own"


def test_the_least_limit_of_all_groups_above_counts(tmp_path):
    where = tree(
        tmp_path,
        "0::/job/step\n",
        job__step__cpu_DOT_max="800000 100000\n",
        job__cpu_DOT_max="250000 100000\n",
        cpu_DOT_max="max 100000\n",
        job__step__memory_DOT_max="max\n",
        job__memory_DOT_max="4096\n",
    )
    assert cpu_limit(*where) == 2.5
    assert memory_limit(*where) == 4096


def test_in_a_container_the_mount_is_the_group(tmp_path):
    where = tree(tmp_path, "0::/outside/it\n", cpu_DOT_max="50000 100000", memory_DOT_max="99")
    assert (cpu_limit(*where), memory_limit(*where)) == (0.5, 99)


def test_version_1(tmp_path):
    own = "5:cpuset:/other\n4:cpu,cpuacct:/docker/a\n3:memory:/docker/a\n"
    files = {
        "cpu__cpu_DOT_cfs_quota_us": "400000",
        "cpu__cpu_DOT_cfs_period_us": "100000",
        "memory__docker__a__memory_DOT_limit_in_bytes": "1000",
    }
    where = tree(tmp_path, own, **files)
    assert (cpu_limit(*where), memory_limit(*where)) == (4, 1000)


@pytest.mark.parametrize(
    "files", [{}, {"cpu_DOT_max": "max 100000", "memory_DOT_max": "max"},
              {"cpu__cpu_DOT_cfs_quota_us": "-1", "cpu__cpu_DOT_cfs_period_us": "100000"}]
)  # fmt: skip
def test_no_limit(tmp_path, files):
    where = tree(tmp_path, "4:cpu:/\n0::/\n", **files)
    assert (cpu_limit(*where), memory_limit(*where)) == (None, None)


def test_without_control_groups(tmp_path):
    assert cpu_limit(tmp_path, tmp_path / "none") is None
