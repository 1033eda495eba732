"""A repository of the Hugging Face Hub: whether it may be written, and one commit to it."""

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi, get_token
from huggingface_hub.errors import (  # type: ignore[attr-defined]
    HfHubHTTPError,
    HTTPError,  # of requests or httpx, by the version
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from huggingface_hub.utils.tqdm import disable_progress_bars

from vidmoco.backbones.create import first_line
from vidmoco.errors import ConfigError
from vidmoco.hub.card import TAG

_LOGIN = "Log in with `hf auth login`, or set HF_TOKEN to a token that may write."
_OF_NEW_REPOSITORIES = {".gitattributes"}


@dataclass(frozen=True)
class Repository:
    """A repository that may be written."""

    name: str
    api: HfApi
    exists: bool


def open_repository(name: str, *, overwrite: bool, private: bool) -> Repository:
    """Return the repository ``USER/NAME``, which need not exist; nothing is written.

    Raises:
        ConfigError: there is no valid token, no network, or there is a repository that is not to be
            overwritten, or is public where a private one is asked for.
    """
    if get_token() is None:
        raise ConfigError(f"There is no token of the Hugging Face Hub. {_LOGIN}")
    api = HfApi(library_name="vidmoco")
    with _one_line(name):
        api.whoami()
        try:
            info = api.model_info(name)
        except RepositoryNotFoundError:
            return Repository(name, api, exists=False)
    files = {file.rfilename for file in info.siblings or []} - _OF_NEW_REPOSITORIES
    if files and TAG not in (info.tags or []):
        raise ConfigError(
            f"The repository {name} exists, and vidmoco has not written it: it holds "
            f"{sorted(files)[0]!r}. It is not replaced. Give another name."
        )
    if files and not overwrite:
        raise ConfigError(
            f"The repository {name} already exists. Add --overwrite to commit to it (the Hub keeps "
            "the older version), or give another name."
        )
    if private and not info.private:
        raise ConfigError(
            f"The repository {name} is public, and --private makes a new one private. Change it in "
            "the settings on its page, or give another name."
        )
    return Repository(name, api, exists=True)


def upload(repository: Repository, folder: Path, *, private: bool) -> str:
    """Make the repository if it is missing, commit the files of a folder at once, return its URL.

    Raises:
        ConfigError: the token may not do that, the network fails, or the Hub refuses the files.
    """
    name, api = repository.name, repository.api
    files = sorted(folder.iterdir())
    if not sys.stderr.isatty():
        disable_progress_bars()
    with _one_line(name):
        if not repository.exists:
            api.create_repo(name, private=private, exist_ok=True)
        # One commit: nobody downloads half of a model.
        api.create_commit(
            name,
            [CommitOperationAdd(path_in_repo=file.name, path_or_fileobj=file) for file in files],
            commit_message="Backbone, model card and recipe, by vidmoco",
        )
    return f"{api.endpoint}/{name}"


@contextmanager
def _one_line(name: str) -> Iterator[None]:
    """Turn what the Hub and the network say into one line with what to do."""
    again = "Fix that, and give the same command again."
    try:
        yield
    except HfHubHTTPError as error:
        status = error.response.status_code
        said = error.server_message or first_line(error)
        if status == 401:
            raise ConfigError(f"The Hugging Face Hub does not know the token. {_LOGIN}") from error
        if status == 403:
            raise ConfigError(
                f"The token may not write to {name}: {said}. Give a name of your own, or a token "
                f"with that right: {_LOGIN}"
            ) from error
        raise ConfigError(f"The Hugging Face Hub refuses {name}: {said}. {again}") from error
    except OfflineModeIsEnabled as error:
        raise ConfigError("HF_HUB_OFFLINE forbids the network. Unset it.") from error
    except ValueError as error:  # of the card's metadata, which the Hub checks
        raise ConfigError(f"The Hugging Face Hub refuses {name}: {first_line(error)}.") from error
    except (HTTPError, OSError, RuntimeError) as error:  # RuntimeError: of a file under way
        reason = first_line(error if error.__cause__ is None else Exception(error.__cause__))
        raise ConfigError(
            f"The Hugging Face Hub cannot be reached: {reason}. Connect to the internet, or "
            f"write a folder with --to hf-folder and upload it later with: hf upload "
            f"{shlex.quote(name)} FOLDER"
        ) from error
