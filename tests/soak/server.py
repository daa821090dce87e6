"""The server of a soak, for a process of its own: says where it is, and leaves when its standard input ends."""

import sys

from firsttoken.testing import ScriptedServer
from tests.soak.scenarios import script_for

if __name__ == "__main__":
    with ScriptedServer(script_for) as server:
        print(server.base_url, flush=True)
        sys.stdin.read()
