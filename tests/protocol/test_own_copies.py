"""firsttoken._protocol.learned_fields: no field is forgotten."""

from typing import Any

import pytest

from firsttoken._models.base import ResponseObject
from firsttoken._protocol.learned_fields import COPIES


@pytest.mark.parametrize("struct", COPIES)
def test_a_copy_has_every_field(struct: type[ResponseObject]) -> None:
    values: dict[str, Any] = {name: object() for name in struct.__struct_fields__}
    twin = struct(**values)
    extra: dict[str, object] = {"own": 1}
    copy = COPIES[struct](twin, extra)
    assert type(copy) is struct
    assert copy.extra is extra
    others = [name for name in struct.__struct_fields__ if name != "extra"]
    assert [getattr(copy, name) for name in others] == [getattr(twin, name) for name in others]
