import pytest

from core.serving import models_allowed


@pytest.mark.parametrize("address", ["localhost", "127.0.0.1", "127.1.2.3", "::1", "[::1]", "LocalHost"])
def test_on_ones_own_machine_models_may_be_opened(address):
    assert models_allowed(address, ["dashboard.py"], {})


@pytest.mark.parametrize(
    "address",
    [None, "", "0.0.0.0", "::", "192.168.1.20", "lab.school.example", "localhost.example", "127.0.0.1.nip.io"],
)
def test_on_a_server_for_others_only_where_it_was_said(address):
    assert not models_allowed(address, ["dashboard.py"], {})
    assert not models_allowed(address, ["dashboard.py"], {"LAYERSCOPE_ALLOW_MODELS": "0"})
    assert models_allowed(address, ["dashboard.py", "--allow-models"], {})
    assert models_allowed(address, ["dashboard.py"], {"LAYERSCOPE_ALLOW_MODELS": "1"})
