"""Greets: what remains of a call is the platform's overhead."""
import time

cold = True


def main(args):
    global cold
    was_cold, cold = cold, False
    start = time.time()
    greeting = "Hello, %s" % args.get("name", "stranger")
    end = time.time()
    return {"body": {"latency": end - start, "cold": was_cold, "start": start, "end": end, "greeting": greeting}}
