"""Speed, measured side by side: every module here with a `measure()` is one benchmark.

`python -m benchmarks` runs them all. A ratio is taken within one run, against something of the same
kind that does less, so that it says more about the code than about the machine.
"""
