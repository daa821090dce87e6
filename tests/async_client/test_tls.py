"""TLS in memory, against OpenSSL's server side."""

import ssl

import pytest

from firsttoken._async.tls import TLSSession
from tests.support.tls import client_context, server_context


class Server:
    """The other side, in memory too."""

    def __init__(self) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.session = server_context().wrap_bio(self._incoming, self._outgoing, server_side=True)

    def do_handshake(self, data: bytes) -> bytes:
        self._incoming.write(data)
        try:
            self.session.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return self._outgoing.read()

    def say(self, data: bytes) -> bytes:
        self.session.write(data)
        return self._outgoing.read()

    def hear(self, data: bytes) -> bytes:
        self._incoming.write(data)
        return self.session.read(65536)

    def take_leave(self) -> bytes:
        with pytest.raises(ssl.SSLWantReadError):  # it waits for our leave, but has said its own
            self.session.unwrap()
        return self._outgoing.read()


def established() -> tuple[TLSSession, Server]:
    client, server = TLSSession(client_context(), "localhost"), Server()
    client.do_handshake(None)
    while not client.is_established:
        client.do_handshake(server.do_handshake(client.data_to_send()))
    said = server.do_handshake(client.data_to_send())
    assert client.decrypt(said) == b""
    return client, server


def test_both_sides_understand_each_other() -> None:
    client, server = established()
    assert server.hear(client.encrypt(b"question")) == b"question"
    assert client.decrypt(server.say(b"answer")) == b"answer"
    assert (client.close_notify_received, client.failure) == (False, None)


def test_all_that_came_is_decrypted_at_once() -> None:
    client, server = established()
    answer = bytes(range(256)) * 1024
    assert client.decrypt(server.say(answer)) == answer


def test_bytes_may_come_one_by_one() -> None:
    client, server = established()
    said = server.say(b"answer")
    assert b"".join(client.decrypt(said[at : at + 1]) for at in range(len(said))) == b"answer"


def test_a_server_that_takes_its_leave_has_ended_after_its_last_word() -> None:
    client, server = established()
    assert client.decrypt(server.say(b"answer") + server.take_leave()) == b"answer"
    assert (client.close_notify_received, client.failure) == (True, None)


def test_a_broken_record_is_a_failure_behind_the_last_good_one() -> None:
    client, server = established()
    broken = bytearray(server.say(b"good") + server.say(b"bad"))
    broken[-1] ^= 1
    assert client.decrypt(bytes(broken)) == b"good"
    assert client.close_notify_received is False
    assert isinstance(client.failure, ssl.SSLError)
    assert "record mac" in str(client.failure).lower().replace("_", " ")


def test_a_certificate_for_another_name_is_refused_and_the_server_told() -> None:
    client, server = TLSSession(client_context(), "other.test"), Server()
    client.do_handshake(None)
    said = server.do_handshake(client.data_to_send())
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        client.do_handshake(said)
    assert client.is_established is False
    with pytest.raises(ssl.SSLError, match=r"(?i)alert"):
        server.do_handshake(client.data_to_send())


def test_an_end_within_the_handshake_is_a_failure() -> None:
    client = TLSSession(client_context(), "localhost")
    client.do_handshake(None)
    client.receive_eof()
    with pytest.raises(ssl.SSLEOFError):
        client.do_handshake(None)
