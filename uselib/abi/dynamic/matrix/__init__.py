"""Many programs x many versions, in parallel, with a cache.

spec.py      the contract: MatrixSpec, ProgramSpec -> MatrixResult, Cell      config.py   matrix.toml -> MatrixSpec
plan.py      which program is compared with which version                      matrix.py   run_matrix
worker.py    one comparison, in a process of this machine or of a cluster
cache.py     results on disk      key.py   what a comparison depends on, as the cache's key
text.py, html.py, junit.py   the result for people, browsers and CI servers
"""
