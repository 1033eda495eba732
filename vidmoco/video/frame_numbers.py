"""The numbers of frames that were read by seeking, in display order, without a decoder."""

from bisect import bisect_left

from vidmoco.config.frame_selection import TOLERANCE
from vidmoco.config.limits import DEFAULT_LIMITS, Limits
from vidmoco.video.bitstream import PacketReader
from vidmoco.video.container import open_video
from vidmoco.video.decoder import packets
from vidmoco.video.frame_stream import seconds_by_count, start_ticks
from vidmoco.video.info import VideoInfo


class FrameNumbers:
    """Knows which frame of a video, from 0 on, has a time. Frames that are lost count."""

    def __init__(self, video: VideoInfo, limits: Limits = DEFAULT_LIMITS) -> None:
        self._video, self._limits = video, limits
        self._times: list[float] | None = None

    def at(self, seconds: float) -> int:
        """Return the number of the frame whose own time this is.

        The packets of the file are read for it once, without decoding them: gaps that differ by
        little, as those of a constant rate do, may add up to frames.
        """
        if self._times is None:
            self._times = self._read()
        return bisect_left(self._times, seconds - TOLERANCE)

    def _read(self) -> list[float]:
        video = self._video
        with open_video(video.path, limits=self._limits) as (container, stream):
            if video.estimated_times:
                seconds_of = seconds_by_count(stream, video)
                return [seconds_of(number) for number in range(video.num_frames)]
            base = stream.time_base
            assert base is not None  # the scan found times
            start = start_ticks(video, base)
            reader = PacketReader(stream, container=video.container, codec=video.codec)
            shown = {
                packet.pts
                for packet, _ in packets(container, stream)
                if packet is not None and reader.look(packet).shown and packet.pts is not None
            }
            return [float((pts - start) * base) for pts in sorted(shown) if pts >= start]
