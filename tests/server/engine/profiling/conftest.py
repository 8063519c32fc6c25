"""A machine and a load for each test."""

from __future__ import annotations

import pytest

from known_speed import FakeLoad, Machine


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def load() -> FakeLoad:
    return FakeLoad()
