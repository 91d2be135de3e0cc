import pytest

from tests.unit.gateway.rig import Rig, make_rig


@pytest.fixture
def rig() -> Rig:
    return make_rig()
