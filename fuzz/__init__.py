"""Fuzz harnesses: `python -m fuzz` runs them under atheris (libFuzzer); `tests/fuzz` replays what they have found.

Each harness is a module with

- `check(wire, pieces)`: asserts what must hold for any bytes, however they are split;
- `run(data)`: takes the fuzzer's bytes, of which the first few select how the rest is split;
- `SEEDS` and `TOKENS`: examples of such bytes, for the fuzzer to start from.
"""
