"""Makes ten pictures of one with Pillow. The picture is made at import."""
import io
import os
import random
import tempfile
import time

from PIL import Image, ImageFilter

cold = True
WIDTH, HEIGHT = 1280, 720


def photograph():
    """Returns a JPEG of smooth colours, which costs about what a photograph does."""
    coarse = bytes(random.Random(1).getrandbits(8) for _ in range(3 * 64 * 36))
    picture = Image.frombytes("RGB", (64, 36), coarse).resize((WIDTH, HEIGHT), Image.BICUBIC)
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=90)
    return data.getvalue()


PHOTOGRAPH = photograph()


def thumbnail(picture):
    small = picture.copy()
    small.thumbnail((128, 128))
    return small


OPERATIONS = {
    "flip-left-right": lambda p: p.transpose(Image.FLIP_LEFT_RIGHT),
    "flip-top-bottom": lambda p: p.transpose(Image.FLIP_TOP_BOTTOM),
    "rotate-90": lambda p: p.transpose(Image.ROTATE_90),
    "rotate-180": lambda p: p.transpose(Image.ROTATE_180),
    "rotate-270": lambda p: p.transpose(Image.ROTATE_270),
    "blur": lambda p: p.filter(ImageFilter.BLUR),
    "contour": lambda p: p.filter(ImageFilter.CONTOUR),
    "sharpen": lambda p: p.filter(ImageFilter.SHARPEN),
    "grey": lambda p: p.convert("L"),
    "thumbnail": thumbnail,
}


def main(args):
    global cold
    was_cold, cold = cold, False
    width = int(args.get("width", WIDTH))
    start = time.time()
    with tempfile.TemporaryDirectory() as folder:
        picture = Image.open(io.BytesIO(PHOTOGRAPH))
        picture.load()
        if width != WIDTH:
            picture = picture.resize((width, max(1, width * HEIGHT // WIDTH)))
        size = 0
        for name, operation in OPERATIONS.items():
            path = os.path.join(folder, name + ".jpeg")
            operation(picture).save(path)
            size += os.path.getsize(path)
    end = time.time()
    return {"body": {
        "latency": end - start, "cold": was_cold, "start": start, "end": end,
        "pictures": len(OPERATIONS), "bytes": size,
    }}
