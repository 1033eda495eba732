import pytest

from vidmoco.config.yaml_text import read_yaml
from vidmoco.errors import ConfigError

LAUGHS = "a: &a [1, 1]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, r"has the alias \*a; write the value itself"),
        ("a: &a [*a]", "has the alias"),
        ("data: &x {batch_size: 4}\noptim:\n  <<: *x", "has the alias"),
        ("[" * 10**5, "nested more than 16 deep"),
        ("{a: " * 10**5, "nested more than 16 deep"),
        ("- " * 10**5 + "1", "nested more than 16 deep"),
        ("seed: 1" + ":1" * 300_000, "value of more than 100 characters"),  # of base 60
        ("seed: 0x" + "f" * 5000, "value of more than 100 characters"),
        ("backbone: {name: " + "x" * 5000 + "}", "value of more than 4,096 characters"),
        ("seed: !!int ''", "not valid YAML"),
        ("seed: !!timestamp x", "not valid YAML"),
    ],
)
def test_yaml_that_takes_the_machine(text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        read_yaml(text, source="hostile")
    assert len(str(caught.value)) < 1000


def test_keys_are_texts_and_given_once():
    assert read_yaml("a: {b: [1, x]}", source="s") == {"a": {"b": [1, "x"]}}
    for text, message in (("a: 1\na: 2", "given twice"), ("1: 2", "is not text")):
        with pytest.raises(ConfigError, match=f"s is not valid YAML: .*{message}"):
            read_yaml(text, source="s")
