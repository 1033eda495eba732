"""Write PNG files, atomically, over nothing but other PNG files."""

from pathlib import Path

from PIL import Image

from vidmoco.atomic_file import atomic_write
from vidmoco.errors import ConfigError


def require_png(path: Path) -> None:
    """Raise ``ConfigError`` if writing a PNG would replace a file of another kind."""
    if path.suffix.lower() != ".png":
        raise ConfigError(f"--output is {str(path)!r}; it must end in .png.")
    try:
        with path.open("rb") as file:
            is_png = file.read(8) == b"\x89PNG\r\n\x1a\n"
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigError(f"--output is {str(path)!r}, which cannot be used: {error}.") from error
    if not is_png:
        raise ConfigError(f"--output is {str(path)!r}, which is not a PNG file. Name another file.")


def save_png(picture: Image.Image, path: Path) -> None:
    """Write a picture, atomically; make its folder.

    Raises:
        ConfigError: the file cannot be written.
    """
    with atomic_write(path, advice=", or give another --output.") as part:
        picture.save(part, format="PNG")
