"""Keyp beside a real server on the same machine: the same load on both, in turns. See benchmarks/README.md.

`python -m benchmarks` measures and reports; `python -m benchmarks.report FILE` reports once more what a file holds.
Nothing here imports Keyp: it is measured as it is installed, in a process of its own, like the others.
"""
