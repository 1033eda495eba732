"""No download: for names that a file gave and not the user."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import huggingface_hub.constants
import torch.hub


@contextmanager
def without_network() -> Iterator[None]:
    """In the block, timm finds weights in its cache only.

    Raises:
        RuntimeError, OfflineModeIsEnabled: it would download.
    """

    def refuse(url: str, *_: Any, **__: Any) -> None:
        raise RuntimeError(f"{url} is not in the cache, and a name in a file downloads nothing")

    with (
        patch.object(huggingface_hub.constants, "HF_HUB_OFFLINE", True),
        patch.object(torch.hub, "download_url_to_file", refuse),
    ):
        yield
