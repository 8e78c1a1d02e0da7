import pytest

from core.featurevis import tuning


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch, tmp_path):
    """What one test finds to be fastest must not decide for another, or for the person who runs the tests."""
    monkeypatch.setenv("LAYERSCOPE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(tuning, "_known", None)
