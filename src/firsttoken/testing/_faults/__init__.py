"""The faults: everything that goes wrong with streams, by name.

The modules beside this one have them by kind: `before_headers` (the connection, HTTP), `statuses` (the response head),
`benign` (odd, but complete), `in_stream` (truncated, or broken in framing, events or JSON) and `reported` (errors
inside a 200).
"""

from firsttoken.testing._faults.before_headers import PRE_HEADERS
from firsttoken.testing._faults.benign import BENIGN
from firsttoken.testing._faults.fault import Fault
from firsttoken.testing._faults.in_stream import TRUNCATED
from firsttoken.testing._faults.reported import IN_STREAM_ERRORS
from firsttoken.testing._faults.statuses import REFUSALS

FAULTS: tuple[Fault, ...] = (*PRE_HEADERS, *REFUSALS, *BENIGN, *TRUNCATED, *IN_STREAM_ERRORS)
"""All of them, for `@pytest.mark.parametrize("fault", FAULTS)`: a `ScriptedServer(fault)` does it to each request."""
