"""Writes count blocks of bs KiB with dd, as a function that starts a program does."""
import os
import subprocess
import tempfile
import time

cold = True


def main(args):
    global cold
    was_cold, cold = cold, False
    kib = int(args.get("bs", 128))
    count = int(args.get("count", 1000))
    start = time.time()
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out")
        run("dd", "if=/dev/zero", "of=" + out, "bs=%dk" % kib, "count=%d" % count)
        listing = run("ls", "-l", folder)
        size = os.path.getsize(out)
    end = time.time()
    return {"body": {
        "latency": end - start, "cold": was_cold, "start": start, "end": end,
        "bytes": size, "listing": listing,
    }}


def run(*command):
    """Returns what a command prints; its complaint is the error."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode != 0:
        raise OSError(done.stderr.decode(errors="replace").strip())
    return done.stdout.decode(errors="replace")
