import errno
import json
import os

import pytest
from child_processes import until

from vidmoco.errors import ConfigError
from vidmoco.features import claims
from vidmoco.features.claims import CLAIMS, WORKERS, Worker
from vidmoco.features.output_folder import output_folder


@pytest.fixture
def folder(tmp_path):
    made = output_folder(tmp_path / "feats")
    made.make()
    return made


def sign(folder, name, *, pid, **where):
    """Another process, of which there is only its sign of life."""
    state = claims._here() | {"pid": pid, "process": "another", "extracts": True} | where
    folder.write(f"{WORKERS}/{name}", json.dumps(state).encode())


def claim_of(folder, name, video):
    folder.write(f"{CLAIMS}/{video}", json.dumps({"worker": name}).encode())


@pytest.fixture
def dead():
    """The id of a process that has ended."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


def test_a_video_has_one_owner_at_a_time(folder):
    with Worker(folder) as one:
        sign(folder, "0000000a", pid=os.getppid())
        claim_of(folder, "0000000a", "theirs")
        assert not one.claim("theirs")
        assert one.claim("mine") and not one.claim("mine")
        one.release("mine")
        assert one.claim("mine")
        assert one.others == one.extracting == {"0000000a"} and one.had_company
    assert set(folder.sizes(CLAIMS)) == {"theirs"}
    assert set(folder.sizes(WORKERS)) == {"0000000a"}


def test_who_begins_later_does_not_double_the_work_of_who_was_alone(folder, monkeypatch):
    """The first looks for others now and then only; the later one may have finished before."""
    monkeypatch.setattr(claims, "_may_run", lambda state: True)  # both are this process
    with Worker(folder) as first, Worker(folder) as later:
        assert not first.had_company and later.others == {first.id}
        assert later.claim("done") and later.claim("given up")
        later.finish("done")
        later.release("given up")
        assert not first.claim("done") and first.closed() == {"done": ""}
        assert first.claim("given up")
        monkeypatch.setattr(claims, "EXPIRY", 0.0)  # by now all have looked
        assert later.claim("more")
        later.finish("more")
        assert "more" not in folder.sizes(CLAIMS)
    assert not folder.sizes(CLAIMS)


def test_who_is_alone_leaves_no_claims(folder):
    with Worker(folder) as one:
        assert one.claim("a")
        one.finish("a")
        assert not folder.sizes(CLAIMS)


def test_claims_of_the_dead_are_taken_over_by_one(folder, dead):
    sign(folder, "0000000a", pid=os.getppid())  # so that nobody tidies up
    sign(folder, "0000000b", pid=dead)
    claim_of(folder, "0000000b", "left")
    with Worker(folder) as one:
        assert one.claim("left")
        claim_of(folder, "0000000b", "again")
        claim_of(folder, "0000000a", "again.0000000b")  # another was faster
        assert not one.claim("again")
        one.release("left")
        assert not [name for name in folder.sizes(CLAIMS) if name.startswith("left")]


def test_another_machine_is_dead_when_it_gives_no_sign(folder, monkeypatch):
    sign(folder, "0000000a", pid=1, host="elsewhere")
    claim_of(folder, "0000000a", "a")
    with Worker(folder) as one:
        assert not one.claim("a")
        monkeypatch.setattr(claims, "EXPIRY", -1.0)
        one.look()
        assert one.claim("a")


def test_a_number_that_is_ours_by_now_is_no_sign_of_life(folder):
    sign(folder, "0000000a", pid=os.getpid())
    with Worker(folder) as one:
        assert one.others == frozenset()


def test_a_container_has_numbers_of_its_own(folder, dead):
    sign(folder, "0000000a", pid=os.getpid(), namespace="pid:[1]")
    sign(folder, "0000000b", pid=dead, namespace="pid:[1]")
    with Worker(folder) as one:
        assert one.others == {"0000000a", "0000000b"}


def test_machines_may_share_a_name(folder, dead):
    sign(folder, "0000000a", pid=dead, boot="another machine that is called localhost")
    with Worker(folder) as one:
        assert one.others == {"0000000a"}


def test_one_process_may_extract_twice_at_a_time(folder):
    with Worker(folder) as one, Worker(folder) as two:
        assert one.claim("a") and not two.claim("a")
        assert two.others == {one.id}


def test_a_claim_without_content_is_respected_for_a_while(folder, monkeypatch):
    """Its process is about to write it, or died in that moment."""
    with Worker(folder) as one:
        folder.write(f"{CLAIMS}/a", b"")
        assert not one.claim("a")
        monkeypatch.setattr(claims, "EXPIRY", -1.0)
        assert one.claim("a")


def test_closed_videos_stay_closed_until_the_last_process_ends(folder):
    with Worker(folder) as one:
        sign(folder, "0000000a", pid=os.getppid())
        assert one.claim("bad") and one.claim("good")
        one.close("bad", "it is broken")
        one.close("good")
        assert not one.claim("bad")
        assert one.closed() == {"bad": "it is broken", "good": ""}
        folder.write(f"{CLAIMS}/good", b"")  # one that is closed is not read again
        assert one.closed() == {"bad": "it is broken", "good": ""}
        folder.delete(f"{CLAIMS}/good")
        assert one.closed() == {"bad": "it is broken"}
        folder.write(f"{CLAIMS}/good", b'{"worker": "", "closed": ""}')
    assert set(folder.sizes(CLAIMS)) == {"bad", "good"}
    folder.delete(f"{WORKERS}/0000000a")
    with Worker(folder) as one:
        assert one.claim("bad")  # a new beginning


def test_what_is_done_once_is_not_done_again(folder):
    done = []
    with Worker(folder) as one:
        one.once("begin", lambda: done.append(1))
        one.once("begin", lambda: done.append(2))
    assert done == [1]


def test_alone_ends_with_the_block(folder):
    with Worker(folder) as one:
        with one.alone("tidy"):
            assert set(folder.sizes(CLAIMS)) == {"tidy"}
        assert folder.sizes(CLAIMS) == {}


def test_two_threads_sign(folder, monkeypatch):
    monkeypatch.setattr(claims, "_BETWEEN_SIGNS", 0.0)
    with Worker(folder) as one:
        for _ in range(100):
            one.has_finished()


def failing_disk(path):
    raise OSError(errno.EIO, "Input/output error")


def test_signs_of_life_go_on_after_failures(folder, monkeypatch):
    monkeypatch.setattr(claims, "_BETWEEN_SIGNS", 0.01)
    with Worker(folder) as one:
        for _ in range(2):
            with monkeypatch.context() as patched:
                patched.setattr(claims, "EXPIRY", -1.0)
                patched.setattr(os, "scandir", failing_disk)
                until(lambda: one._trouble)
                with pytest.raises(ConfigError, match="cannot be read: Input/output error"):
                    one.claim("a")  # others take this process for dead
            until(lambda: not one._trouble)
            assert one.claim("a")
            one.release("a")


def test_what_cannot_be_read_is_no_damaged_claim(folder, monkeypatch):
    def read(name):
        raise ConfigError("the disk is failing")

    with Worker(folder) as one, monkeypatch.context() as failing:
        failing.setattr(folder, "read", read)
        with pytest.raises(ConfigError, match="the disk is failing"):
            one.closed() if one.claim("a") else None


@pytest.mark.parametrize("text", ["", None])
def test_who_begins_at_the_same_time_keeps_what_it_is_writing(folder, text):
    """A sign of life is a temporary file for a moment, of a process that nobody knows yet."""
    state = claims._here() | {"pid": os.getppid(), "process": "another", "extracts": True}
    part = f"{WORKERS}/0000000a.12345678.part"
    folder.write(part, (json.dumps(state) if text is None else text).encode())
    with Worker(folder):
        assert part.rpartition("/")[2] in folder.sizes(WORKERS)
    assert set(folder.sizes(WORKERS)) == {part.rpartition("/")[2]}


def test_what_a_killed_process_was_writing_is_removed(folder, dead, monkeypatch):
    state = json.dumps(claims._here() | {"pid": dead, "process": "another"}).encode()
    folder.write(f"{WORKERS}/0000000a.12345678.part", state)
    with Worker(folder) as one:
        assert set(folder.sizes(WORKERS)) == {one.id}
    folder.write(f"{WORKERS}/0000000a.12345678.part", b"")
    monkeypatch.setattr(claims, "EXPIRY", -1.0)
    with Worker(folder) as one:
        assert set(folder.sizes(WORKERS)) == {one.id}


def test_nothing_is_left(folder):
    with Worker(folder) as one:
        assert one.claim("a")
    folder.close()
    assert folder.names() == []


def test_a_claim_whose_answer_was_lost_is_ones_own(folder, monkeypatch):
    """A store makes the file, the connection breaks, and the repeated request finds it there."""
    create = folder.create

    def lost(name, data):
        create(name, data)
        return False

    with Worker(folder) as one:
        with monkeypatch.context() as patch:
            patch.setattr(folder, "create", lost)
            assert one.claim("video")
            with one.alone("tidy"):  # which waits until it has it
                pass
        assert not one.claim("video")  # it is held
        one.release("video")
        assert one.claim("video")


def test_processes_with_other_labels_do_not_work_at_the_same_time(folder, dead, monkeypatch):
    monkeypatch.setattr(claims, "_may_run", lambda state: state["pid"] != dead)
    with Worker(folder) as one, Worker(folder) as same, Worker(folder) as other:
        sign(folder, "0000000a", pid=dead, labels="of before")
        for worker in (one, same):
            worker.give_labels("r1")
        with pytest.raises(ConfigError, match=r"feats with other --labels\. Wait until it has"):
            other.give_labels("r2")
        other.give_labels("r1")
    with Worker(folder) as later:
        later.give_labels("r2")
