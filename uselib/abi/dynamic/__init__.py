"""The dynamic ABI check (`uselib abi`): the unmodified program, run against two versions of a library, and what differed.

result.py   the contract: request and result
run.py      compare_runs(request) -> AbiResult
matrix.py   programs x versions      probe.py   one function, generated inputs      pytest_plugin.py
"""
