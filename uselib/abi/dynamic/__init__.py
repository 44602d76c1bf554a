"""The dynamic ABI check (`uselib abi`): the unmodified program, run against two versions of a library, and the differences.

run/      compare_runs: AbiRequest -> AbiResult (run/result.py, the contract)
matrix/   programs x versions: many such comparisons
probe/    one function of both versions, called with generated arguments
"""
