"""Every door from eight threads at once: what one thread gets, to the byte; torch and matplotlib are left as they were."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from parallel_calls import KINDS, network, state

THREADS, CALLS = 8, 48


@pytest.fixture(scope="module")
def networks():
    return [network(seed) for seed in range(4)]


@pytest.fixture
def often():
    """Threads take turns every 50 microseconds, a hundred times as often as usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_eight_threads_get_what_one_gets(kind, networks, often):
    call = KINDS[kind]
    expected, before = [call(net) for net in networks], state()
    calls = CALLS // 3 if kind in ("figure", "frame", "picture") else CALLS
    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(lambda number: call(networks[number % 4]) == expected[number % 4], range(calls)))
    assert found == [True] * calls and state() == before
