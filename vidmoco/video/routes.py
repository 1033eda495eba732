"""Choose the decoder of a video: decord where it is known to be correct, else PyAV.

"Wrong" below means that decord 3.4 (``decord2``) returned other frames or times than a decode from
the start, or broke off. It was measured on synthetic videos and on a collection of difficult real
ones.
"""

from vidmoco.video.timeline import Timeline

# Wrong: MPEG-TS, MPEG-PS, ASF, AVI with B-frames.
DECORD_CONTAINERS = frozenset({"mov", "matroska"})
# Wrong: HEVC whose key frames flush several pictures, VC-1, Sorenson 3, MPEG-4 and others whose
# decoders take settings from the first packet, which a seek skips.
DECORD_CODECS = frozenset({"h264", "vp8", "vp9", "av1"})
# Wrong: H.264 4:4:4 after a seek (a decoder setting again), and 10-bit colours by up to 3 levels.
DECORD_PIXEL_FORMATS = frozenset({"yuv420p", "yuvj420p"})
# Narrower pictures may have padded rows, and look like pictures with more channels.
DECORD_MIN_WIDTH = 192
# decord's times are float32 with 24 bits. Up to this number, all ticks of the clock are distinct.
DECORD_MAX_TICKS = 2**22
# decord reads the whole file each time it opens it (measured), which dominates for large files.
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
    marks_wrong: bool,
    timeline: Timeline,
) -> tuple[str, str]:
    """Return ("decord", "") or ("pyav", why not decord).

    Args:
        container: FFmpeg's first name of the container format.
        codec: FFmpeg's name of the codec.
        pixel_format: FFmpeg's name of the pixel format.
        width: displayed width in pixels.
        mirrored: whether the picture is displayed mirrored.
        foreign_codec: codec of another video stream that is not on the allow-list, or empty.
        num_bytes: size of the file.
        size_changes: whether a new decoder configuration comes in the middle.
        start_known: whether the container says when the stream starts.
        marks_wrong: whether the container marks pictures as key frames that may be none.
        timeline: the times of the frames.
    """
    ticks = timeline.duration_seconds * timeline.ticks_per_second
    reasons = [
        (container not in DECORD_CONTAINERS, f"{container} container"),
        (codec not in DECORD_CODECS, f"{codec} codec"),
        (bool(foreign_codec), f"another stream in {foreign_codec}, which decord would decode"),
        (pixel_format not in DECORD_PIXEL_FORMATS, f"{pixel_format or 'unknown'} pixels"),
        (timeline.estimated, "times missing or out of order"),
        (timeline.edit_list, "edit list: some frames are hidden"),
        (timeline.start_seconds != 0 or not start_known, "does not start at time zero"),
        (not timeline.starts_with_key, "does not start with a key frame"),
        (timeline.leading_pictures, "open GOP: pictures before their key frame"),
        (timeline.damaged, "damaged or cut off"),
        (marks_wrong, "marks key frames where a decoder cannot start"),
        (size_changes, "its format changes in the middle"),
        (mirrored, "mirrored display"),
        (width < DECORD_MIN_WIDTH, f"narrower than {DECORD_MIN_WIDTH} pixels"),
        (num_bytes > DECORD_MAX_BYTES, "larger than 64 MiB, all of which decord reads to open it"),
        (not 0 < ticks < DECORD_MAX_TICKS, "too long for times of 24 bits"),
    ]
    reason = next((reason for holds, reason in reasons if holds), "")
    return ("pyav", reason) if reason else ("decord", "")
