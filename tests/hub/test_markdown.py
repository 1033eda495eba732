import pytest

from vidmoco.hub.markdown import code_block, table, text, without_folders


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("run_1.v2", r"run\_1.v2"),
        ("a|b", r"a\|b"),
        ("<img src=x>", r"\<img src=x\>"),
        ("[here](x) `c` $a$ *b*", r"\[here\](x) \`c\` \$a\$ \*b\*"),
        ("# no title\n- no list", r"\# no title\\n- no list"),
        ("- no list", r"\- no list"),
        ("1. no list", r"1\. no list"),
        ("https://evil www.evil.com @all", r"https\://evil www\.evil.com \@all"),
        ("Küche 厨房", "Küche 厨房"),
        ("a\x1b[0m\u202eb", r"a\\x1b\[0m\\u202eb"),
        (0.07, "0.07"),
    ],
)
def test_names_stay_text(given, shown):
    assert text(given) == shown


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ("/data/secret/clip.mp4", "clip.mp4"),
        ("such as /home/me/a.png and ~/b/c.png, twice", "such as a.png and c.png, twice"),
        ("file:///home/me/v", "file:v"),
        ("runs/kitchen", "runs/kitchen"),
        ("train/red/0.png", "train/red/0.png"),
        ("hf-hub:alice/kitchen", "hf-hub:alice/kitchen"),
        ("exp(s / 0.07), 5/6", "exp(s / 0.07), 5/6"),
    ],
)
def test_no_absolute_path_is_left(given, left):
    assert without_folders(given) == left


def test_blocks():
    assert code_block("a\n```\nb", "bash") == "````bash\na\n```\nb\n````"
    assert table(["", "x"], [["a", "1"]]).splitlines() == ["|  | x |", "| :-- | --: |", "| a | 1 |"]
