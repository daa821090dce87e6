"""The parts of firsttoken that do no I/O, for those who bring a transport of their own.

`SSEDecoder` turns bytes into server-sent events, `StreamParser` the bytes of a streamed answer's body into chunks and
one outcome, `Accumulator` chunks from anywhere into a `ChatCompletion`. None of them reads a clock, and none raises
for what a server sent: the first thing that is wrong becomes `failure`.
"""

from firsttoken._protocol.accumulator import Accumulator
from firsttoken._protocol.sse import ServerSentEvent, SSEDecoder
from firsttoken._protocol.stream import StreamParser

__all__ = ["Accumulator", "SSEDecoder", "ServerSentEvent", "StreamParser"]

for _public in (Accumulator, SSEDecoder, ServerSentEvent, StreamParser):
    _public.__module__ = __name__
