from collections import Counter

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from vidmoco.errors import ConfigError, DataError
from vidmoco.evaluate.labelled_clips import (
    Clip,
    choose_frames,
    clips_by,
    clips_of_folders,
    drop_small_classes,
    given_splits,
    read_manifest,
    val_groups,
)

COLUMNS = {"path": "path", "label": "room", "group": "day"}


def write(tmp_path, text):
    path = tmp_path / "m.csv"
    path.write_text(text, encoding="utf-8-sig")  # as spreadsheets save it
    return path


def clips(sizes):
    """Clips of classes: {label: {group: number of clips}}."""
    return [
        Clip(f"{label}/{group}/{i}.mp4", label, group)
        for label, groups in sizes.items()
        for group, count in groups.items()
        for i in range(count)
    ]


def test_manifest_rows_and_conditions(tmp_path):
    text = (
        'path,room,day,kind\n"a, b.mp4",attic,d1,x\nb.mp4,hall,d2,x\nc.mp4,hall,d3,y\nd.mp4,,d4,x\n'
    )
    manifest = write(tmp_path, text)
    everything, unlabelled = read_manifest(manifest, where=[], **COLUMNS)
    assert everything[0] == Clip("a, b.mp4", "attic", "d1")
    assert len(everything) == 3
    assert unlabelled == ["d.mp4"]
    some, unlabelled = read_manifest(manifest, where=["kind=x", "room=hall"], **COLUMNS)
    assert [clip.path for clip in some] == ["b.mp4"]
    assert unlabelled == []  # d.mp4 is not asked for
    cut_off = write(tmp_path, "path,room,day\na,attic,d1\nb\n")
    assert read_manifest(cut_off, where=[], **COLUMNS)[1] == ["b"]
    nameless = write(tmp_path, "room,day,path\nhall,d1,a\nhall,d1\n")
    assert [clip.path for clip in read_manifest(nameless, where=[], **COLUMNS)[0]] == ["a", ""]
    with pytest.raises(DataError, match=r"^1 row of .* without a 'path' \(the first is ''\)"):
        read_manifest(nameless, where=[], **COLUMNS | {"group": None})


@pytest.mark.parametrize(
    ("text", "where", "error", "message"),
    [
        ("path,rom,day\na,b,c\n", [], ConfigError, "no column 'room'. Did you mean 'rom'"),
        ("path,room,day\na,b,c\n", ["kind=x"], ConfigError, "no column 'kind'"),
        ("path,room,day\na,b,c\n", ["day=x"], DataError, "No row of .* has a label and day=x"),
        ("path,room,day\na,b,c\na,b,d\n", [], DataError, "lists 'a' 2 times"),
        (
            "",
            [],
            ConfigError,
            "m.csv is empty; expected a CSV whose first line names the columns path, room, day",
        ),
        ("path,room,day\n", [], DataError, "No row of .* has a label and a path"),
        (
            "path,room,day\na,b,\n",
            [],
            DataError,
            "1 row of .* without a 'day' .the first is 'a'",
        ),
    ],
)
def test_manifests_that_cannot_be_used(tmp_path, text, where, error, message):
    with pytest.raises(error, match=message):
        read_manifest(write(tmp_path, text), where=where, **COLUMNS)


def test_a_manifest_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="Cannot read the manifest"):
        read_manifest(tmp_path / "m.csv", where=[], **COLUMNS)


def test_small_classes_are_dropped_and_named():
    given = clips(
        {"a": {"1": 9, "2": 9}, "b": {"1": 2, "3": 3, "4": 5}, "c": {"1": 9}, "d": {"1": 2, "2": 2}}
    )
    kept, dropped = drop_small_classes(given, min_videos=10, min_groups=2)
    assert {clip.label for clip in kept} == {"a", "b"}
    assert dropped == ["c: 9 videos of 1 group", "d: 4 videos of 2 groups"]
    with pytest.raises(DataError, match="Fewer than two classes have 10 videos and 3 groups: a:"):
        drop_small_classes(given, min_videos=10, min_groups=3)


sizes = st.dictionaries(
    st.sampled_from("abcde"),
    st.dictionaries(st.sampled_from([str(i) for i in range(12)]), st.integers(1, 4), min_size=4),
    min_size=2,
)


@settings(deadline=None)
@given(sizes=sizes, seed=st.integers(0, 5))
def test_every_class_is_in_both_parts_and_no_group_is(sizes, seed):
    given_clips = clips(sizes)
    try:
        val = val_groups(given_clips, share=0.3, seed=seed)
    except DataError as error:
        assume("fell into one split" not in str(error))
        raise
    for mine in clips_by(given_clips, "label").values():
        in_val = {clip.group in val for clip in mine}
        assert in_val == {True, False}
    # By construction a group is in val or not; what is left is that no group is made up.
    assert val < {clip.group for clip in given_clips}
    assert val == val_groups(given_clips[::-1], share=0.3, seed=seed)


def test_the_share_is_kept_where_classes_share_no_group():
    given = clips({label: {f"{label}{i}": 1 for i in range(20)} for label in "abc"})
    val = val_groups(given, share=0.3, seed=0)
    assert Counter(group[0] for group in val) == {"a": 6, "b": 6, "c": 6}
    assert val != val_groups(given, share=0.3, seed=1)


def test_a_class_that_can_only_be_in_one_part_is_an_error():
    given = clips({"a": {"1": 1, "2": 1}, "b": {"1": 1, "2": 1}, "c": {"2": 1}})
    with pytest.raises(DataError, match="groups of c are shared"):
        val_groups(given, share=0.3, seed=0)


def test_all_frames_without_a_limit():
    given = clips({"a": {"1": 2}, "b": {"2": 1}})
    assert set(choose_frames(given, per_video=3, per_class=None, seed=0)) == set(given)
    assert all(
        frames == [0, 1, 2]
        for frames in choose_frames(given, per_video=3, per_class=None, seed=0).values()
    )


@pytest.mark.parametrize(("per_class", "expected"), [("min", 8), (5, 5), (100, 40)])
def test_balance(per_class, expected):
    given = clips({"a": {"1": 9, "2": 1}, "b": {"3": 2}})
    chosen = choose_frames(given, per_video=4, per_class=per_class, seed=0)
    counts = Counter()
    for clip, frames in chosen.items():
        assert len(set(frames)) == len(frames)
        assert set(frames) <= set(range(4))
        counts[clip.label] += len(frames)
    assert counts == {"a": expected, "b": min(expected, 8)}


def test_a_limit_keeps_the_most_different_frames():
    given = clips({"a": {"1": 9, "2": 2, "3": 1}, "b": {"4": 9}})
    chosen = choose_frames(given, per_video=4, per_class=3, seed=0)
    # One frame of one video of each group.
    assert Counter(clip.group for clip in chosen if clip.label == "a") == {"1": 1, "2": 1, "3": 1}
    assert all(len(frames) == 1 for frames in chosen.values())
    others = choose_frames(given, per_video=4, per_class=3, seed=1)
    assert [*map(str, chosen)] != [*map(str, others)]  # not the first video of each group
    many = choose_frames(given, per_video=4, per_class=12, seed=0)
    assert sum(clip.label == "a" for clip in many) == 12  # each video before a second frame of one
    assert {frames[0] for clip, frames in many.items() if clip.label == "a"} == {0, 1, 2, 3}


def test_the_choice_is_seeded_and_does_not_depend_on_the_order():
    given = clips({"a": {"1": 9, "2": 5}, "b": {"4": 9}})
    one = choose_frames(given, per_video=4, per_class=7, seed=0)
    assert list(one.items()) == list(
        choose_frames(given[::-1], per_video=4, per_class=7, seed=0).items()
    )
    assert one != choose_frames(given, per_video=4, per_class=7, seed=1)


def test_each_video_is_its_own_group_and_the_split_may_be_given(tmp_path):
    manifest = write(tmp_path, "path,room,part\na.mp4,attic,train\nb.mp4,hall,test\n")
    bare, _ = read_manifest(manifest, path="path", label="room", group=None, where=[])
    assert bare == [Clip("a.mp4", "attic", "a.mp4"), Clip("b.mp4", "hall", "b.mp4")]
    assert given_splits(bare) == {}
    known, _ = read_manifest(
        manifest, path="path", label="room", group=None, where=[], split="part"
    )
    assert given_splits(known) == {"a.mp4": "train", "b.mp4": "val"}


def test_a_group_in_both_splits_is_refused():
    planted = [Clip("a.mp4", "x", "day1", "train"), Clip("b.mp4", "y", "day1", "val")]
    with pytest.raises(DataError, match=r"group 'day1' are in train and val, such as 'b.mp4'"):
        given_splits(planted)


def test_labels_of_folders(tmp_path):
    flat = clips_of_folders(["a/1.mp4", "b/deep/2.mp4", "locked/"], folder=tmp_path)
    assert flat == [Clip("a/1.mp4", "a", "a/1.mp4"), Clip("b/deep/2.mp4", "b", "b/deep/2.mp4")]
    split = clips_of_folders(["train/a/1.mp4", "test/b/2.mp4"], folder=tmp_path)
    assert [(clip.label, clip.split) for clip in split] == [("a", "train"), ("b", "val")]
    for keys, message in (
        ([], "has no videos"),
        (["1.mp4", "a/2.mp4"], "outside of class folders, such as '1.mp4'"),
        (["train/1.mp4", "val/a/2.mp4"], "outside of class folders, such as 'train/1.mp4'"),
    ):
        with pytest.raises(DataError, match=message):
            clips_of_folders(keys, folder=tmp_path)


@pytest.mark.parametrize("val", ["val", "validation", "valid", "dev", "test", "Val", "Testing"])
@pytest.mark.parametrize("train", ["train", "Training"])
@pytest.mark.parametrize("other", [[], ["unlabelled/9.mp4"], ["docs/a/9.mp4"]])
def test_the_parts_have_the_names_of_those_of_images(tmp_path, train, val, other):
    keys = [f"{train}/a/1.mp4", f"{val}/b/2.mp4"]
    found = clips_of_folders([*keys, *other], folder=tmp_path)
    assert found == [Clip(keys[0], "a", keys[0], "train"), Clip(keys[1], "b", keys[1], "val")]
    manifest = write(tmp_path, f"path,room,part\n a,x ,{train}\nb,x, {val}\n")
    clips, _ = read_manifest(
        manifest, path="path", label="room", group=None, where=["room=x"], split="part"
    )
    assert clips == [Clip(" a", "x", " a", "train"), Clip("b", "x", "b", "val")]


def test_val_and_test_are_not_judged_together(tmp_path):
    keys = ["train/a/1.mp4", "val/a/2.mp4", "test/a/3.mp4"]
    assert [clip.path for clip in clips_of_folders(keys, folder=tmp_path)] == keys[:2]
    manifest = write(tmp_path, "path,room,part\na,x,train\nb,x,val\nc,x,test\n")
    with pytest.raises(DataError, match="has both val and test; expected one of them"):
        read_manifest(manifest, path="path", label="room", group=None, where=[], split="part")
