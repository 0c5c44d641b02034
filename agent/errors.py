"""Errors 55 to 74: cameras and their calibration; 79 and 80: sound; 253: the detector."""

from protocol.errors import KinflowError


class VideoUnreadable(KinflowError):
    number = 55
    cause = "{path} could not be read as a video: {detail}."
    advice = "Check that the file exists, that you may read it and that `ffprobe` shows a video stream in it."


class VideoTruncated(KinflowError):
    number = 56
    cause = "{path} ends early: {frames_read} of {frames_promised} frames could be read."
    advice = "Copy the file again; what was read up to there has been used."


class CameraUnreachable(KinflowError):
    number = 57
    cause = "The camera {source} could not be reached: {detail}."
    advice = "Check its address, its power and its network; Kinflow tries again with growing pauses."


class CameraStalled(KinflowError):
    number = 58
    cause = "The camera {source} sent no picture for {timeout_s:g} s."
    advice = "Check its network; a sub-stream needs less of it. Kinflow opens it again by itself."


class CameraMissing(KinflowError):
    number = 59
    cause = "There is no camera {source} on this device."
    advice = "Plug it in, and list what is there with `ls /dev/video*`."


class CameraForbidden(KinflowError):
    number = 60
    cause = "This user may not open {source}."
    advice = (
        "Add the user to the group that owns it (for /dev/video*: `sudo usermod -aG video USER`, then log in again)."
    )


class SourceUnknown(KinflowError):
    number = 61
    cause = "{source!r} is no camera source that Kinflow knows."
    advice = "Give a file, rtsp://…, http://…, /dev/videoN or picamera:N."


class CameraRefused(KinflowError):
    number = 62
    cause = "The camera {source} refused to send its stream: {detail}."
    advice = "Check user name, password and path in its address."


class PiCameraToolMissing(KinflowError):
    number = 63
    cause = "Neither rpicam-vid nor libcamera-vid is installed, so {source} can't be read."
    advice = "On Raspberry Pi OS: `sudo apt install rpicam-apps`."


class RoadPointsCollinear(KinflowError):
    number = 64
    cause = "Three of the road's four points lie on one line."
    advice = "Mark the corners of a rectangle on the road: near left, near right, far right, far left."


class RoadPointsCrossed(KinflowError):
    number = 65
    cause = "The road's four points, joined in their order, do not run round a rectangle seen from above."
    advice = "Give them in this order: near left, near right, far right, far left."


class RoadPointsOutside(KinflowError):
    number = 66
    cause = "The point {x_px:g},{y_px:g} lies outside of the picture of {width_px} by {height_px} pixels."
    advice = "Mark points within the picture; `kinflow calibrate` shows it."


class RoadSizeInvalid(KinflowError):
    number = 67
    cause = "The road's {which} is {given}; it must be more than 0 and at most {limit_m:g} m."
    advice = "Measure it in metres: --road-width across all lanes, --road-length from the near to the far points."


class RoadPointsMalformed(KinflowError):
    number = 68
    cause = "{text!r} is not four points."
    advice = (
        "Write eight numbers in pixels: --road x1,y1,x2,y2,x3,y3,x4,y4 (near left, near right, far right, far left)."
    )


class CameraFileUnreadable(KinflowError):
    number = 69
    cause = "The camera file {path} could not be read: {detail}."
    advice = "Correct it, or delete it and run `kinflow calibrate` again."


class VideoNotWritable(KinflowError):
    number = 70
    cause = "{path} could not be written: {detail}."
    advice = "Choose another name (a video's ends in .mp4 or .avi), in a folder that exists and that you may write to."


class CameraOptionsUneven(KinflowError):
    number = 71
    cause = "{cameras} cameras were given, but {count} times {option}."
    advice = "Give {option} once for all cameras, or once for each, in the same order."


class StreamMalformed(KinflowError):
    number = 72
    cause = "What the camera {source} sent is not a motion-JPEG stream: {detail}."
    advice = "Check the address: it must be the camera's MJPEG stream (multipart/x-mixed-replace)."


class NoCamera(KinflowError):
    number = 73
    cause = "No camera was given."
    advice = "Add --camera FILE_OR_URL, or an [[agent.cameras]] section to kinflow.toml."


class PagePortTaken(KinflowError):
    number = 74
    cause = "The agent's page could not listen on port {port}: {detail}."
    advice = "Another agent may be running; stop it or choose another port with --port."


class DetectorUnusable(KinflowError):
    number = 253
    cause = "The detector {model} can't be used on this device: {detail}."
    advice = 'The index goes on without it. Set detector = "off" for the camera, or give a model that runs here.'


class SoundUnreadable(KinflowError):
    number = 79
    cause = "The sound {source} could not be read: {detail}."
    advice = "Give a WAV file: PCM of 8 to 32 bits or float, any rate, any number of channels."


class MicrophoneUnavailable(KinflowError):
    number = 80
    cause = "No sound comes from {source}: {detail}."
    advice = (
        "Install ALSA's tools (`sudo apt install alsa-utils`), choose a device that `arecord -L` lists, and let this "
        "user use it (`sudo usermod -aG audio USER`); or take the camera's sound setting away."
    )
