import asyncio
import sys
import textwrap

import pytest

from stitchtui.tui.inspection import Inspection

ECHO = """
import json, sys
for line in sys.stdin:
    question = json.loads(line)
    if question.get("source") == {"checkpoint": "deadly"}:
        sys.exit(3)
    print("noise that is no answer")
    print(json.dumps({"id": question["id"], "cuts": [], "asked": question}), flush=True)
"""


@pytest.fixture
def inspection(tmp_path):
    script = tmp_path / "echo.py"
    script.write_text(textwrap.dedent(ECHO))
    made = Inspection([sys.executable, str(script)])
    yield made
    made.close()


async def test_questions_are_answered_each_by_its_own_answer(inspection):
    first, second = await asyncio.gather(inspection.cuts({"checkpoint": "a"}, "x"), inspection.cuts({}, "y"))
    assert first["asked"]["source"] == {"checkpoint": "a"}
    assert second["asked"]["data"] == "y"


async def test_a_question_that_kills_the_process_is_an_error_and_the_next_is_answered(inspection):
    answer = await inspection.cuts({"checkpoint": "deadly"}, "x")
    assert "died" in answer["error"]
    assert "error" not in await inspection.cuts({"checkpoint": "a"}, "x")


async def test_an_innocent_question_survives_the_death_of_the_process(inspection):
    deadly = asyncio.ensure_future(inspection.cuts({"checkpoint": "deadly"}, "x"))
    innocent = await inspection.cuts({"checkpoint": "a"}, "x")
    assert "error" in await deadly
    assert "error" not in innocent


async def test_names_are_asked_for_once(inspection):
    first = await inspection.names()
    assert first is await inspection.names()
    assert first["asked"]["ask"] == "names"


async def test_a_closed_inspection_answers_with_an_error_and_starts_nothing(inspection):
    inspection.close()
    assert "closing" in (await inspection.cuts({}, "x"))["error"]


async def test_closing_answers_what_is_still_open(tmp_path):
    script = tmp_path / "mute.py"
    script.write_text("import sys\nfor line in sys.stdin: pass\n")
    made = Inspection([sys.executable, str(script)])
    asked = asyncio.ensure_future(made.cuts({}, "x"))
    await asyncio.sleep(0)  # it is asked
    made.close()
    assert "given up" in (await asked)["error"]


async def test_a_rested_inspection_starts_again_with_the_next_question(inspection):
    await inspection.cuts({}, "x")
    inspection.rest()
    assert "error" not in await inspection.cuts({}, "y")


async def test_a_program_that_is_not_there_is_an_error():
    made = Inspection(["/nonexistent/program"])
    assert "can't be started" in (await made.names())["error"]
