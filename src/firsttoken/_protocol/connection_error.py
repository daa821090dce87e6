"""Maps errors of a connection, as the system and TLS report them, to the error of the call."""

from firsttoken.errors import APIConnectionError


def connection_error(error: Exception, what: str, server: str) -> APIConnectionError:
    """The error of a call for an error of its connection, which becomes its cause.

    Args:
        error: an `OSError`, or another error that `ssl` or `socket` raises.
        what: what failed: "no connection to" or "lost the connection to".
        server: its address, and that of a proxy.
    """
    reason = (
        getattr(error, "verify_message", "") or getattr(error, "strerror", "") or str(error) or type(error).__name__
    )
    failure = APIConnectionError(f"{what} {server}: {reason}", hint=_hint(error))
    failure.retryable = not hasattr(error, "verify_message")  # a retry does not change a certificate
    failure.__cause__ = error
    return failure


def _hint(error: Exception) -> str | None:
    if isinstance(error, ConnectionRefusedError):
        return "is the server running on this port?"
    if hasattr(error, "verify_message"):
        code: object = getattr(error, "verify_code", 0)
        return _CERTIFICATE_HINTS.get(code, _UNTRUSTED_HINT) if isinstance(code, int) else _UNTRUSTED_HINT
    if "WRONG_VERSION_NUMBER" in str(error):
        return "the server does not speak TLS there; does base_url begin with https:// by mistake?"
    return None


_UNTRUSTED_HINT = "the certificate is not trusted; SSL_CERT_FILE can name a file with the one of a private authority"
_CERTIFICATE_HINTS = {  # X509_V_ERR_… of OpenSSL's x509_vfy.h
    9: "the certificate is not valid yet; is this machine's clock right?",
    10: "the certificate has expired; is this machine's clock right?",
    62: "the certificate is for another name; is the host of base_url the server's own?",
    64: "the certificate is for another name; is the host of base_url the server's own?",
}
