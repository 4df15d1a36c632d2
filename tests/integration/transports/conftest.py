"""Runs a test's coroutine on asyncio's event loop and on uvloop's."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    factory = asyncio.new_event_loop if request.param == "asyncio" else uvloop.new_event_loop

    def run_on_loop(work: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=factory) as runner:
            failures: list[dict[str, Any]] = []
            runner.get_loop().set_exception_handler(lambda loop, context: failures.append(context))
            runner.run(work)
            assert failures == []

    return run_on_loop
