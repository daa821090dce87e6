"""Fuzz harnesses: `python -m fuzz` runs them under atheris (libFuzzer); `tests/fuzz` replays what they have found.

Each harness is a module with `check(wire, pieces)`, which asserts what must hold for any bytes, however they are cut;
with `run(data)`, which takes the fuzzer's bytes: the first few say how to cut the rest; and with `SEEDS` and `TOKENS`,
which show the fuzzer what such bytes look like.
"""
