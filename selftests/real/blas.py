#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Matrix products by OpenBLAS on two threads; the result is the hash of the last."""
import hashlib
import os
import sys

os.environ["OPENBLAS_NUM_THREADS"] = "2"
os.environ["OPENBLAS_THREAD_TIMEOUT"] = "4"  # yield less while there is nothing to do
import numpy  # noqa: E402  (after the number of threads)

N, ROUNDS = 160, 24
rng = numpy.random.default_rng(1)
a = rng.standard_normal((N, N))
b = rng.standard_normal((N, N))
for _ in range(ROUNDS):
    a = a @ b
    a /= numpy.abs(a).max()
    numpy.linalg.solve(b, a[:, :8])
with open(sys.argv[1] + "/result", "w", encoding="ascii") as f:
    f.write(hashlib.sha256(a.tobytes()).hexdigest() + "\n")
