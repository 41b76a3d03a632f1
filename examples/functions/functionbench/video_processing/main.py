"""Makes a video grey, frame by frame, with ffmpeg. The video is made at import."""
import os
import shutil
import subprocess
import tempfile
import time

cold = True
SECONDS, RATE = 4, 25  # of the video, and its frames in each

if not shutil.which("ffmpeg"):
    raise ImportError("ffmpeg is not on the PATH: install it, or take a base that has it")


def ffmpeg(*args, data=None):
    """Runs ffmpeg with one thread and returns what it writes to standard output."""
    command = ("ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin", "-y") + args
    done = subprocess.run(command, input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode != 0:
        raise OSError(done.stderr.decode(errors="replace").strip())
    return done.stdout


VIDEO = ffmpeg(
    "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=%d:duration=%d" % (RATE, SECONDS),
    "-threads", "1", "-c:v", "mpeg4", "-b:v", "2M", "-f", "matroska", "-",
)


def main(args):
    global cold
    was_cold, cold = cold, False
    frames = int(args.get("frames", SECONDS * RATE))
    if not 1 <= frames <= SECONDS * RATE:
        raise ValueError("frames is %d, want 1 to %d" % (frames, SECONDS * RATE))
    start = time.time()
    pictures = ffmpeg(
        "-threads", "1", "-i", "pipe:0", "-frames:v", str(frames),
        "-filter_threads", "1", "-vf", "format=gray,format=yuvj420p",
        "-threads", "1", "-c:v", "mjpeg", "-q:v", "5", "-f", "image2pipe", "-", data=VIDEO,
    )
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "grey.avi")
        ffmpeg(
            "-threads", "1", "-f", "image2pipe", "-framerate", str(RATE), "-c:v", "mjpeg", "-i", "pipe:0",
            "-threads", "1", "-c:v", "mpeg4", "-vtag", "xvid", "-pix_fmt", "yuv420p", out, data=pictures,
        )
        size = os.path.getsize(out)
    end = time.time()
    return {"body": {
        "latency": end - start, "cold": was_cold, "start": start, "end": end,
        "frames": frames, "bytes": size,
    }}
