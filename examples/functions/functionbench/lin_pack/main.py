"""Solves a random system of n linear equations, as LINPACK does."""
import time

import numpy as np

cold = True
random = np.random.default_rng(1)


def main(args):
    global cold
    was_cold, cold = cold, False
    n = int(args.get("n", 20))
    start = time.time()
    a = random.uniform(-0.5, 0.5, (n, n))
    b = a.sum(axis=1)  # so that the solution is a vector of ones
    before = time.perf_counter()
    x = np.linalg.solve(a, b)
    solved = time.perf_counter() - before
    end = time.time()
    operations = 2 * n**3 / 3 + 2 * n**2  # LINPACK's own count
    return {"body": {
        "latency": end - start, "cold": was_cold, "start": start, "end": end,
        "mflops": operations / solved / 1e6, "error": float(abs(x - 1).max()),
    }}
