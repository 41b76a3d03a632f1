"""Writes random bytes to a file and compresses the file with gzip."""
import gzip
import os
import shutil
import tempfile
import time

cold = True


def main(args):
    global cold
    was_cold, cold = cold, False
    megabytes = float(args.get("file_size", 5))
    start = time.time()
    with tempfile.TemporaryDirectory() as folder:
        plain = os.path.join(folder, "plain")
        before = time.perf_counter()
        with open(plain, "wb") as f:
            f.write(os.urandom(int(megabytes * 1e6)))
        written = time.perf_counter()
        with open(plain, "rb") as f, gzip.open(plain + ".gz", "wb") as packed:
            shutil.copyfileobj(f, packed, 1 << 20)
        compressed = time.perf_counter()
        size = os.path.getsize(plain + ".gz")
    end = time.time()
    return {"body": {
        "latency": end - start, "cold": was_cold, "start": start, "end": end,
        "write_seconds": written - before, "compress_seconds": compressed - written, "bytes": size,
    }}
