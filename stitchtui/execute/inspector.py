"""`python -m stitchtui.execute.inspector`: answers questions about networks, one JSON object a line, until stdin ends.

    {"id": 1, "ask": "cuts", "source": {"checkpoint": PATH, "architecture": NAME, "weights": NAME}, "data": NAME}
    {"id": 2, "ask": "names"}
    {"id": 3, "ask": "estimate", "experiment": {...}, "device": "auto"}

Each is answered by {"id": ..., ...} or {"id": ..., "error": one line}, with the "field" to change where it is known: a
key of the source or of the experiment. Estimates take long, so that they run beside the rest, one at a time: one that
waits is given up ("dropped") when a newer one is asked for.
"""

import json
import os
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

from stitchtui.base.errors import BadInput, RunFailed
from stitchtui.base.files import Stamp, stamp

Answer = dict[str, Any]
_SOURCE = ("checkpoint", "architecture", "weights", "width", "options", "leaves", "head", "part", "trust_code")


class Inspector:
    """Answers questions in order, but for estimates, which a thread works on."""

    def __init__(self, out: TextIO) -> None:
        self._out, self._writing = out, threading.Lock()
        self._known: dict[str, Answer] = {}
        self._waiting: dict[str, Any] | None = None
        self._asked, self._closed = threading.Condition(), False
        self._thread = threading.Thread(target=self._estimates, daemon=True, name="estimates")
        self._thread.start()

    def serve(self, lines: Iterable[str]) -> None:
        """Answer every line until there are no more."""
        for line in lines:
            try:
                question = json.loads(line)
                number = question["id"]
            except (ValueError, TypeError, KeyError):
                continue  # nothing to answer to
            if question.get("ask") == "estimate":
                self._put_off(question)
            else:
                self._say(number, _tried(lambda question=question: self.answer(question)))

    def answer(self, question: dict[str, Any]) -> Answer:
        """The answer to a question about names or cuts; raises BadInput for one that has none."""
        if question.get("ask") == "names":
            from stitchtui.execute import network_facts

            return network_facts.names()
        if question.get("ask") == "cuts":
            return self._cuts(question)
        raise BadInput.at("ask", "expected cuts, names or estimate")

    def _cuts(self, question: dict[str, Any]) -> Answer:
        from stitchtui.execute.network_facts import NetworkQuestion, cuts

        source = {key: value for key, value in question["source"].items() if key in _SOURCE}
        source["leaves"] = tuple(source.get("leaves", ()))
        key = json.dumps([source, question["data"], *_stamps(source)], sort_keys=True)
        if key not in self._known:
            answer = cuts(NetworkQuestion(data=question["data"], **source))
            self._known[key] = answer  # only what was answered: what can't be read now may be readable later
        return self._known[key]

    def _put_off(self, question: dict[str, Any]) -> None:
        with self._asked:
            before, self._waiting = self._waiting, question
            self._asked.notify()
        if before is not None:
            self._say(before["id"], {"dropped": True})

    def _estimates(self) -> None:
        while True:
            with self._asked:
                self._asked.wait_for(lambda: self._waiting is not None)
                question, self._waiting = self._waiting, None
            if question is not None:
                self._say(question["id"], _tried(lambda question=question: _estimate(question)))

    def _say(self, number: Any, answer: Answer) -> None:
        with self._writing:
            self._out.write(json.dumps({"id": number, **answer}) + "\n")
            self._out.flush()


def _tried(work: Any) -> Answer:
    try:
        answer: Answer = work()
    except BadInput as error:
        return {"error": str(error)} if error.field is None else {"error": str(error), "field": error.field}
    except RunFailed as error:
        return {"error": str(error)}
    except Exception as error:  # one question that breaks something must not end the others
        first = (str(error).splitlines() or [""])[0]
        return {"error": f"can't be inspected: {type(error).__name__}: {first}"[:300]}
    return answer


def _stamps(source: dict[str, Any]) -> list[Stamp | None]:
    """When each file that an answer rests on was written, and how large it is."""
    code = str(source.get("architecture") or "").rpartition(":")[0]
    files = source.get("checkpoint"), code if code.endswith(".py") else None
    return [stamp(Path(path)) if path else None for path in files]


def _estimate(question: dict[str, Any]) -> Answer:
    from stitchtui.execute import network_facts
    from stitchtui.execute.estimate import estimate
    from stitchtui.networks import by_name
    from stitchtui.spec.experiment import Experiment

    experiment = Experiment.model_validate(question["experiment"])
    if not network_facts.has_arrived(experiment.data.name):
        raise BadInput(f"{experiment.data.name} is downloaded when the run starts; no estimate before that")
    for spec in experiment.networks.values():
        weights = spec.weights
        if weights is not None and not by_name.weights_have_arrived(spec.architecture or "", weights):
            raise BadInput(f"weights of {spec.architecture} are downloaded when the run starts; no estimate before")
    return {"rows": estimate(experiment, question.get("device") or "auto")}


def main() -> int:
    """Serve stdin until it is closed. Whatever else wants to print goes to stderr: stdout carries answers only."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    from stitchtui.execute import network_facts  # noqa: F401  torch is loaded before the first question comes

    Inspector(out).serve(sys.stdin)
    os._exit(0)  # an estimate that is still computed has nobody left to tell


if __name__ == "__main__":
    sys.exit(main())
