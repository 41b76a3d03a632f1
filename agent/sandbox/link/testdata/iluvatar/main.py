"""User code in the manner of Ilúvatar's images: main takes a dictionary."""
import os
import sys
import time


def main(args):
    do = args.get("do")
    if do == "raise":
        raise ValueError("by design")
    if do == "exit":
        print("last words", file=sys.stderr, flush=True)
        os._exit(9)
    if do == "large":
        return "x" * args["n"]
    if do == "sleep":
        time.sleep(args["s"])
    if do == "write":
        with open("/app/written", "w") as f:
            f.write("x")
    if do == "fill":
        wrote = 0
        try:
            with open("/iluvatar/sockets/x", "wb", buffering=0) as f:
                while wrote < 64 << 20:
                    wrote += f.write(bytes(1 << 16))
        except OSError as e:
            return [wrote >> 20, e.strerror]
        return wrote >> 20
    return {"n": args.get("n", 0) + 1}
