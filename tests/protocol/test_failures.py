"""firsttoken._protocol.retry: a failure that is kept holds no frames."""

import pytest

from firsttoken._protocol.retry import without_traceback


def resolve_host() -> None:
    try:
        dict[str, str]()["first"]
    except KeyError as error:
        raise OSError("second") from error


def try_it() -> None:
    try:
        resolve_host()
    except OSError as error:
        raise ValueError("third") from error


def test_a_parked_failure_keeps_its_causes_and_no_traceback() -> None:
    with pytest.raises(ValueError) as caught:
        try_it()
    failure = caught.value
    assert failure.__traceback__ is not None
    assert without_traceback(failure) is failure
    links: list[BaseException] = []
    link: BaseException | None = failure
    while link is not None:
        links.append(link)
        assert link.__traceback__ is None
        assert link.__context__ is None
        link = link.__cause__
    assert [str(link) for link in links] == ["third", "second", "'first'"]
