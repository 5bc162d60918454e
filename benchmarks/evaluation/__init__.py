"""How often the pipeline is right: measured, degraded and synthetic goods, counted openly.

`python -m benchmarks.evaluation` scores `identify` and `screen` as the product runs them, with no
private way in. `python -m benchmarks.evaluation choose` chooses the thresholds on one split.
Everything is drawn from seeds; two runs of the same code give the same figures.
See docs/evaluation.md.
"""
