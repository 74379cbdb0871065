"""Worker processes, and what becomes of the rest when one of them is killed."""

from __future__ import annotations

import contextlib
import errno
import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

from preparation.errors import CORPUS, PreparationError


class KilledWorkerError(PreparationError):
    """A worker was killed. The program must leave without waiting for its pool, which may never
    end: Python's pool waits for a pipe that nobody reads (CPython issue 94777)."""

    leaves_at_once = True


class _Process(SpawnProcess):
    """A process that is deaf to Ctrl-C from its first instruction on: that reaches the whole terminal,
    and the parent ends its workers. It does not import the program anew: what it runs is in modules."""

    def start(self) -> None:
        resource_tracker.ensure_running()  # which ends with SIGINT unblocked
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        program = vars(sys.modules["__main__"])
        file = program.pop("__file__", None)  # by which multiprocessing would find it
        try:
            super().start()
        finally:
            if file is not None:
                program["__file__"] = file
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


class _Context(SpawnContext):
    Process = _Process


class _Pool(ProcessPoolExecutor):
    """A pool of which an OSError is never taken for one of the output."""

    def submit(self, call: Callable[..., Any], /, *given: Any, **named: Any) -> Future[Any]:
        try:
            return super().submit(call, *given, **named)
        except OSError as error:
            if error.errno in (None, errno.EBADF, errno.EPIPE):  # its pipe closes at this moment
                raise BrokenProcessPool(str(error)) from error
            message = f"cannot start worker processes: {error.strerror}; a smaller --jobs needs fewer"
            raise PreparationError(CORPUS, message) from error


@contextlib.contextmanager
def worker_pool(
    jobs: int, initializer: Callable[..., None] | None = None, *arguments: Any
) -> Iterator[ProcessPoolExecutor]:
    """A pool of `jobs` processes; one that is killed is a KilledWorkerError."""
    pool = _Pool(jobs, _Context(), initializer=initializer, initargs=arguments)
    try:
        yield pool
    except BrokenProcessPool:
        for worker in multiprocessing.active_children():
            worker.kill()
        pool.shutdown(wait=False, cancel_futures=True)
        raise KilledWorkerError(
            CORPUS,
            f"a worker process was killed, perhaps because memory ran out: expected {jobs} to live to"
            " the end; a smaller --jobs needs less",
        ) from None
    except BaseException:
        pool.shutdown(cancel_futures=True)
        raise
    pool.shutdown()
