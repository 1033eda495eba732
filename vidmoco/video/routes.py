"""Which decoder reads a video: decord where it is known to be right, PyAV everywhere else.

"Wrong" below: decord 3.4 (``decord2``) returned other frames or times than a decode from the start,
or broke off; measured on painted videos and on a collection of awkward real ones.
"""

from vidmoco.video.timeline import Timeline

DECORD_CONTAINERS = frozenset(
    {"mov", "matroska"}
)  # wrong: MPEG-TS, MPEG-PS, ASF, AVI with B-frames
# Wrong or broken off: HEVC whose key frames flush several pictures, VC-1, Sorenson 3, MPEG-4 and
# others whose decoders take settings from the first packet, which a seek skips.
DECORD_CODECS = frozenset({"h264", "vp8", "vp9", "av1"})
# Wrong: H.264 4:4:4 after a seek (a decoder setting again). 10 bits: other colours, by 3 levels.
DECORD_PIXEL_FORMATS = frozenset({"yuv420p", "yuvj420p"})
# Narrower pictures may come with the padding of their rows, as another number of channels.
DECORD_MIN_WIDTH = 192
# decord's times are float32, of 24 bits: up to here each tick of the clock is still told apart.
DECORD_MAX_TICKS = 2**22
# decord reads the whole file each time it opens it (measured), which is then most of its time.
DECORD_MAX_BYTES = 64 * 2**20


def route_of(
    *,
    container: str,
    codec: str,
    pixel_format: str,
    width: int,
    mirrored: bool,
    foreign_codec: str,
    num_bytes: int,
    size_changes: bool,
    start_known: bool,
    timeline: Timeline,
) -> tuple[str, str]:
    """Return ("decord", "") or ("pyav", why not decord).

    Args:
        container: FFmpeg's first name of the container format.
        codec: FFmpeg's name of the codec.
        pixel_format: FFmpeg's name of the pixel format.
        width: displayed width in pixels.
        mirrored: the picture is displayed mirrored.
        foreign_codec: FFmpeg's name of a codec, in another video stream of the file, that nothing
            here may decode.
        num_bytes: size of the file.
        size_changes: a new decoder configuration comes in the middle.
        start_known: the container tells when the stream starts.
        timeline: when frames are shown.
    """
    ticks = timeline.duration_seconds * timeline.ticks_per_second
    reasons = [
        (container not in DECORD_CONTAINERS, f"{container} container"),
        (codec not in DECORD_CODECS, f"{codec} codec"),
        (bool(foreign_codec), f"another stream in {foreign_codec}, which decord would look into"),
        (pixel_format not in DECORD_PIXEL_FORMATS, f"{pixel_format or 'unknown'} pixels"),
        (timeline.estimated, "times missing or out of order"),
        (timeline.edit_list, "edit list: some frames are hidden"),
        (timeline.start_seconds != 0 or not start_known, "does not start at time zero"),
        (not timeline.starts_with_key, "does not start with a key frame"),
        (timeline.leading_pictures, "open GOP: pictures before their key frame"),
        (timeline.damaged, "damaged or cut off"),
        (size_changes, "its format changes in the middle"),
        (mirrored, "mirrored display"),
        (width < DECORD_MIN_WIDTH, f"narrower than {DECORD_MIN_WIDTH} pixels"),
        (num_bytes > DECORD_MAX_BYTES, "larger than 64 MiB, and decord reads all of it to open it"),
        (not 0 < ticks < DECORD_MAX_TICKS, "too long for times of 24 bits"),
    ]
    reason = next((reason for holds, reason in reasons if holds), "")
    return ("pyav", reason) if reason else ("decord", "")
