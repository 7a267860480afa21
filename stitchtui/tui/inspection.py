"""The client of the inspector process: asks about networks without waiting, and starts the process again if it dies."""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import IO, Any

Answer = dict[str, Any]

INSPECTOR = (sys.executable, "-m", "stitchtui.execute.inspector")
_DEATHS = 2  # a question that the process may have died of is asked once more


@dataclass
class _Question:
    body: dict[str, Any]
    future: "Future[Answer]"
    deaths: int = 0  # how many processes may have died of it


class Inspection:
    """One inspector process: started by `start` or a question, ended by `rest`, by `close`, or with this process."""

    def __init__(self, command: Sequence[str] = INSPECTOR) -> None:
        self._command = tuple(command)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._open: dict[int, _Question] = {}
        self._known: dict[str, Answer] = {}
        self._count = 0
        self._closed = False

    def start(self) -> None:
        """Start the process unless it runs already; it loads torch while the user still looks around."""
        with self._lock:
            self._ensure()

    def close(self) -> None:
        """End the process for good, and answer every open question with an error."""
        with self._lock:
            self._closed = True
        self.rest()

    def rest(self) -> None:
        """End the process, which gives back its memory and its cores; the next question starts it again.

        Every open question is answered with an error.
        """
        with self._lock:
            process, self._process = self._process, None
            abandoned, self._open = list(self._open.values()), {}
        if process is not None:
            process.kill()
            process.wait()
            _close(process.stdin)
        for question in abandoned:
            question.future.set_result({"error": "given up, since it is no longer needed"})

    async def names(self) -> Answer:
        """{"architectures", "torchvision", "devices"}, or {"error"}; asked once."""
        if "names" not in self._known:
            answer = await self.ask("names")
            if "error" in answer:
                return answer
            self._known["names"] = answer
        return self._known["names"]

    async def cuts(self, source: dict[str, Any], data: str) -> Answer:
        """What the inspector says of the network in `source` for the dataset `data`; {"error"} where it can't."""
        return await self.ask("cuts", source=source, data=data)

    async def estimate(self, experiment: dict[str, Any], device: str) -> Answer:
        """{"rows"} of time and memory for an experiment, {"error"}, or {"dropped"} if a newer one was asked for."""
        return await self.ask("estimate", experiment=experiment, device=device)

    async def ask(self, what: str, **details: Any) -> Answer:
        """Ask, and wait for the answer without holding up the app; an error is an answer: {"error": one line}."""
        return await asyncio.wrap_future(self._send({"ask": what, **details}))

    def _send(self, body: dict[str, Any]) -> "Future[Answer]":
        future: Future[Answer] = Future()
        future.set_running_or_notify_cancel()  # so that nobody who stops waiting can cancel it
        with self._lock:
            self._count += 1
            self._open[self._count] = question = _Question({"id": self._count, **body}, future)
            if self._ensure():
                self._write(question)
                return future
            del self._open[self._count]
        future.set_result({"error": "the app is closing" if self._closed else "the inspector can't be started"})
        return future

    def _ensure(self) -> bool:
        if self._closed:
            return False
        if self._process is None:
            try:
                self._process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    encoding="utf-8",
                    errors="replace",
                )
            except OSError:
                return False
            threading.Thread(target=self._read, args=(self._process,), daemon=True, name="inspection").start()
        return True

    def _write(self, question: _Question) -> None:
        assert self._process is not None and self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(question.body) + "\n")
            self._process.stdin.flush()
        except (OSError, ValueError):
            return  # it has died: the reader finds out, and asks again

    def _read(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                self._take(line)
        process.wait()
        self._bury(process)

    def _take(self, line: str) -> None:
        try:
            answer = json.loads(line)
            number = answer.pop("id")
        except (ValueError, AttributeError, KeyError):
            return
        with self._lock:
            question = self._open.pop(number, None)
        if question is not None:
            question.future.set_result(answer)

    def _bury(self, process: "subprocess.Popen[str]") -> None:
        with self._lock:
            if self._process is not process:
                return  # ended by `rest`, which has answered everything
            self._process = None
            _close(process.stdin)
            given_up = [self._open.pop(number) for number in self._blamed()]
            if self._open and self._ensure():
                for question in self._open.values():
                    self._write(question)
        for question in given_up:
            question.future.set_result({"error": "the inspector died of this question twice; is there enough memory?"})

    def _blamed(self) -> list[int]:
        """The open questions that processes have died of too often: all but estimates are answered in order."""
        in_order = [number for number, question in self._open.items() if question.body["ask"] != "estimate"]
        suspects = [number for number in self._open if number not in in_order[1:]]
        for number in suspects:
            self._open[number].deaths += 1
        return [number for number in suspects if self._open[number].deaths >= _DEATHS]


def _close(stream: IO[str] | None) -> None:
    try:
        if stream is not None:
            stream.close()
    except OSError:  # what was still to be written has nobody to read it
        pass
