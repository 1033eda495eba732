"""Models of the Hugging Face Hub, before timm downloads them."""

from contextlib import suppress
from pathlib import Path

import huggingface_hub
import timm
from huggingface_hub.errors import HFValidationError
from rich.console import Console

from vidmoco.backbones.folder import CONFIG_FILE, PICKLED_WEIGHTS_FILE, WEIGHTS_FILE
from vidmoco.backbones.folder_config import checked_config
from vidmoco.backbones.source import HUB, Source
from vidmoco.console import say
from vidmoco.errors import CheckpointError
from vidmoco.json_text import read_json


def tell_of_download(source: Source) -> None:
    """Say what is waited for: the hub's client is silent for a minute where there is no network."""
    repository, revision = _place(source)
    if not repository or huggingface_hub.constants.HF_HUB_OFFLINE:
        return
    for file in (WEIGHTS_FILE, PICKLED_WEIGHTS_FILE):
        with suppress(HFValidationError):  # no name of a model: what loads it says so
            found = huggingface_hub.try_to_load_from_cache(repository, file, revision=revision)
            if isinstance(found, str):
                return
    place = f"{repository} of the Hugging Face Hub"
    say(Console(stderr=True), f"Downloading the weights of {source.label} from {place} …")


def _place(source: Source) -> tuple[str, str | None]:
    """Return the repository that has the weights, or "", and its revision, if one is named."""
    if source.name.startswith(HUB):
        repository, _, revision = source.name.removeprefix(HUB).partition("@")
        return repository, revision or None
    config = timm.get_pretrained_cfg(source.name)
    return (config.hf_hub_id or "") if config else "", None


def check_hub(source: Source) -> None:
    """Check the config of a model of the hub, which a stranger wrote too.

    Raises:
        CheckpointError: it is damaged.
    """
    repository, revision = _place(source)
    try:
        path = huggingface_hub.hf_hub_download(repository, CONFIG_FILE, revision=revision)
        checked_config(read_json(Path(path)))
    except ValueError as error:
        raise CheckpointError(f"{source.label} has no {CONFIG_FILE} of timm's: {error}.") from error
