"""Computes a sine, a cosine and a square root, n times."""
import math
import time

cold = True


def total(n):
    """Returns the sum over the numbers below n, so that no result goes unused."""
    s = 0.0
    for i in range(n):
        s += math.sin(i) + math.cos(i) + math.sqrt(i)
    return s


def main(args):
    global cold
    was_cold, cold = cold, False
    n = int(args.get("n", 20))
    start = time.time()
    s = total(n)
    end = time.time()
    return {"body": {"latency": end - start, "cold": was_cold, "start": start, "end": end, "total": s}}
