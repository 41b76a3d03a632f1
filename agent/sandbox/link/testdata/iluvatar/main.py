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
    return {"n": args.get("n", 0) + 1}
