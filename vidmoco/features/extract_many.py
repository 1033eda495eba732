"""Extract many videos, which other processes may extract at the same time into the same folder."""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import chain
from typing import Any

from vidmoco.backbones.frozen import FrozenBackbone
from vidmoco.errors import VideoError
from vidmoco.features.claims import Worker
from vidmoco.features.extract import extract_videos
from vidmoco.features.extract_outputs import Output, id_of
from vidmoco.features.extraction import Extraction

_BETWEEN_LOOKS = 1.0  # seconds

Result = tuple[Extraction, int | VideoError | None, Sequence[str]]
"""A video; the number of its rows, why it has none, or None: another process has written it; and
which of its frames were left out."""


def extract_many(
    frozen: FrozenBackbone,
    todo: Iterable[Extraction],
    output: Output,
    worker: Worker,
    *,
    with_files: Callable[[Iterator[Extraction]], Iterator[Extraction]],
    on_wait: Callable[[int], None],
    **options: Any,
) -> Generator[Result, None, None]:
    """Yield each video when it has come to its end, here or in another process.

    Those that others have are left to them, and taken over if they die.

    Args:
        frozen: the backbone, on its device.
        todo: videos that are not finished.
        output: where features go.
        worker: this process; its claims share the videos.
        with_files: gives each video its file, if it is at a URL.
        on_wait: called with the number of videos that only others have, when that begins.
        options: as for ``extract_videos``.
    """
    left, waits = deque(todo), False
    while left:
        others, written = list[Extraction](), list[Extraction]()

        def claimed(
            left: deque[Extraction] = left,
            others: list[Extraction] = others,
            written: list[Extraction] = written,
        ) -> Iterator[Extraction]:
            while left:
                one = left.popleft()
                if worker.had_company and output.has(one):
                    written.append(one)
                elif not worker.claim(id_of(one.name)):
                    others.append(one)
                elif worker.had_company and _has_now(output, one):
                    worker.finish(id_of(one.name))
                    written.append(one)
                else:
                    yield one

        mine = claimed()
        first = next(mine, None)
        if first is not None:
            waits = False
            files = with_files(chain([first], mine))
            results = extract_videos(frozen, files, write=output.write, **options)
            with closing(results):
                for one, result in results:
                    if isinstance(result, VideoError):
                        worker.close(id_of(one.name), str(result))
                        yield one, result, ()
                    else:
                        output.wrote(one)
                        yield one, result, output.damage_of(one)
            output.flush()
        output.refresh()
        reasons = worker.closed() if others else {}
        for one in others:
            reason = reasons.get(id_of(one.name))
            if reason:
                yield one, VideoError(reason), ()
            elif reason == "" or output.has(one):
                written.append(one)
            else:
                left.append(one)
        for one in written:
            yield one, None, ()
        if left and first is None:
            if not waits:
                on_wait(len(left))
            waits = True
            time.sleep(_BETWEEN_LOOKS)


def _has_now(output: Output, one: Extraction) -> bool:
    output.refresh()
    return output.has(one)
