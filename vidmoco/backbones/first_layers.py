"""Find encoders in a checkpoint by the names that their first layers have."""

from collections.abc import Iterable, Set

# (name of the first convolution, beginning of the first block).
_FIRST = (
    ("conv1.weight", "layer1.0."),
    ("conv1.0.weight", "layer1.0."),
    ("0.weight", "4.0.conv1."),  # a ResNet in an ``nn.Sequential``
    ("patch_embed.proj.weight", "blocks.0."),
    ("patch_embed.proj.weight", "layers.0."),
    ("patch_embed.projection.weight", "layers.0."),  # MMClassification
    ("conv_proj.weight", "encoder.layers.encoder_layer_0."),  # torchvision
    ("stem.0.weight", "stages.0."),
    ("conv_stem.weight", "blocks.0."),
)


def prefixes_of_encoders(keys: Iterable[str], wanted: Set[str] = frozenset()) -> list[str]:
    """Return what the keys of each encoder begin with, sorted: ``""`` or words with a dot behind.

    Args:
        keys: of a state dict.
        wanted: keys of one network, if it is known. Then an encoder has all of them.
    """
    known = set(keys)
    if wanted:
        longest = max(wanted, key=len)
        starts = _before(known, longest)
        return sorted(p for p in starts if all(p + key in known for key in wanted))
    found = set()
    for stem, block in _FIRST:
        starts = _before(known, stem)
        found |= {p for p in starts if any(key.startswith(p + block) for key in known)}
    return sorted(found)


def _before(keys: Set[str], end: str) -> set[str]:
    """Return what comes before ``end`` in the keys that end so."""
    return {key.removesuffix(end) for key in keys if key == end or key.endswith(f".{end}")}


def where_encoders_are(keys: Iterable[str], *, at: str = "") -> str:
    """Return a sentence on the prefixes that work, or on the first keys if none does.

    Args:
        keys: of a state dict, or of what is behind the prefix ``at`` of one, without it.
        at: such a prefix.
    """
    keys = list(keys)
    found = [f"--prefix {at}{prefix}" for prefix in prefixes_of_encoders(keys) if at + prefix]
    if found:
        more = f" (and {len(found) - 4} more)" if len(found) > 4 else ""
        return f"Behind {' or '.join(found[:4])} is an encoder{more}."
    return f"Its first keys are {' and '.join(map(repr, keys[:2]))}."
