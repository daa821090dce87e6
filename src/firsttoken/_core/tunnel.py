"""A tunnel through a proxy: what to ask for, and whether the answer is a yes.

Source: RFC 9110, section 9.3.6 (CONNECT).
"""

from firsttoken._core.http1 import ResponseParser
from firsttoken._core.proxy import Proxy, connect_head
from firsttoken._core.server_error import proxy_refusal
from firsttoken._core.url import Origin


class Tunnel:
    """The opening of a tunnel: send `request`, then feed what comes until it is open.

    Args:
        origin: where the tunnel is to lead.
        proxy: through which proxy.

    Attributes:
        request: the bytes to send.
        is_open: whether the proxy has said yes.
    """

    def __init__(self, origin: Origin, proxy: Proxy) -> None:
        self.request = connect_head(origin, proxy)
        self.is_open = False
        self._proxy = proxy
        self._parser = ResponseParser(tunnel=True)

    def receive_data(self, data: bytes) -> None:
        """Take bytes of the proxy's answer; b"" is the end of its connection.

        Raises:
            ConnectionResetError: it closed the connection without an answer.
            APIStatusError: it said no; which is not the server's word, so that it is of no class below.
            ResponseFormatError: it does not speak HTTP.
        """
        if not data:
            self._parser.release()
            raise ConnectionResetError(f"the proxy {self._proxy.origin.address} closed the connection")
        self._parser.receive_data(data)
        info, failure = self._parser.info, self._parser.failure
        if info is None and failure is None:
            return
        self._parser.release()
        if failure is not None:
            raise failure
        if info is not None and not 200 <= info.status <= 299:
            raise proxy_refusal(info.status, self._proxy.origin.address)
        self.is_open = True
