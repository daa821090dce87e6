"""The faults: everything that goes wrong with streams, by name.

The modules here have them by kind: `before_headers` (the connection, HTTP, the response head), `benign` (odd, but
complete) and `in_stream` (truncated, broken in framing, events or JSON, or an error inside a 200).
"""

from firsttoken.testing._faults.before_headers import BEFORE_HEADERS
from firsttoken.testing._faults.benign import BENIGN
from firsttoken.testing._faults.fault import Fault
from firsttoken.testing._faults.in_stream import IN_STREAM_ERRORS, TRUNCATED

FAULTS: tuple[Fault, ...] = (*BEFORE_HEADERS, *BENIGN, *TRUNCATED, *IN_STREAM_ERRORS)
"""All of them, for `@pytest.mark.parametrize("fault", FAULTS)`: a `ScriptedServer(fault)` does it to each request."""
