"""Fixtures that these tests share."""

import pytest

from tests.support.web import KINDS, Kind


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Whose stream is relayed: the sync client's, or the async one's."""
    return request.param
