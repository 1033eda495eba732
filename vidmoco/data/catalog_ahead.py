"""Look at the videos of a training while torch is imported."""

from vidmoco.ahead import libraries_meanwhile
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.frames.store import is_prepared
from vidmoco.images.suffixes import may_hold_images
from vidmoco.video.catalog import Catalog
from vidmoco.video.open_catalog import open_catalog
from vidmoco.video.scan import require_videos
from vidmoco.workers.start import start_fork_server


def catalog_ahead(config: PretrainConfig) -> Catalog | None:
    """Return the catalog of a training's videos, or None where it may read something else.

    Raises:
        ConfigError: there is nothing that can be read.
    """
    if any(is_prepared(source) or may_hold_images(source) for source in config.videos):
        return None
    videos = [source for source in config.videos if source.suffix.lower() != ".parquet"]
    require_videos(videos, follow_links=config.limits.follow_links)
    if len(videos) < len(config.videos):  # catalogs or images: ``open_source`` tells them apart
        return None
    start_fork_server()
    with libraries_meanwhile():
        return open_catalog(
            config.videos, workers=config.data.workers or None, limits=config.limits
        )
