"""How well does a system find what was judged relevant, what does it cost, and does it replay?

`run.evaluate` is `t1 evaluate` in Python: a `request` names a `task` and one of the `systems`,
`measure` brings them together, `results` keeps what was found. `bright` is BRIGHT on the same
systems; `statistics` has metrics, intervals and tests, `thoughts` the studies of thinking.
"""
