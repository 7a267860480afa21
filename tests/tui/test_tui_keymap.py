"""The user's own keys: what applies, what is said of the rest; and that every key of the app can be moved."""

from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pilot import make_run, screen_text, wait_for_text
from textual.binding import Binding
from textual.dom import DOMNode

import stitchtui.tui
from stitchtui.base.paths import runs_directory
from stitchtui.tui.app import StitchApp
from stitchtui.tui.keys import SCREENS
from stitchtui.tui.own_keys import keymap_path, read_keymap

OURS = {binding.id: binding for bindings in SCREENS.values() for binding in bindings}


def write_keys(text):
    keymap_path().parent.mkdir(parents=True, exist_ok=True)
    keymap_path().write_text(text)
    return keymap_path()


def classes():
    """Every screen and widget of ours."""
    for path in sorted(Path(stitchtui.tui.__file__).parent.glob("*s/*.py")):
        module = import_module(f"stitchtui.tui.{path.parent.name}.{path.stem}")
        own = [each for each in vars(module).values() if getattr(each, "__module__", "") == module.__name__]
        yield from (each for each in own if isinstance(each, type) and issubclass(each, DOMNode))


def test_every_binding_of_a_screen_or_widget_is_known_has_an_id_and_a_tooltip():
    found = [binding for each in classes() for binding in vars(each).get("BINDINGS", [])]
    assert len(found) > 60
    for binding in [*found, *OURS.values()]:
        assert binding.id in OURS or binding.id == "quit", binding
        assert binding.tooltip and binding.description, binding


@pytest.mark.parametrize("screen", SCREENS)
def test_ids_are_not_used_twice_on_a_screen(screen):
    ids = [binding.id for binding in SCREENS[screen]]
    assert len(set(ids)) == len(ids)


def test_keys_may_stand_in_tables_and_be_written_as_they_are_typed():
    path = write_keys('help = "?,f1"\n[grid]\nopen = "z"\n')
    assert read_keymap(path) == ({"help": "question_mark,f1", "grid.open": "z"}, [])


def test_without_a_file_nothing_is_moved_and_nothing_said():
    assert read_keymap(keymap_path()) == ({}, [])


@pytest.mark.parametrize("text", ["quit = 3", 'quit = ""', "quit = ['x']", 'quit = "crtl+x"', 'quit = "f99"'])
def test_what_is_no_key_is_named_and_the_rest_applies(text):
    path = write_keys(f'{text}\n"grid.measure" = "z"\n')
    keymap, (problem,) = read_keymap(path)
    assert keymap == {"grid.measure": "z"}
    assert problem.startswith(str(path)) and "quit: " in problem and "expected" in problem and "\n" not in problem


@pytest.mark.parametrize("key", ["ctrl+x", "shift+tab", "f2", "pageup", "?", "space", "G", "comma", "ctrl+shift+left"])
def test_a_key_of_any_kind_may_be_chosen(key):
    keymap, problems = read_keymap(write_keys(f'"grid.export" = "{key}"\n"grid.last" = "end"\nhelp = "f1"\n'))
    assert problems == [] and "grid.export" in keymap


def test_an_action_that_there_is_not_is_said_with_the_nearest_and_the_rest_applies():
    path = write_keys('"grid.mesure" = "z"\n"grid.depth" = "Z"\n')
    keymap, problems = read_keymap(path)
    assert keymap == {"grid.depth": "Z"}
    assert problems == [f"{path}: 'grid.mesure' is not known; nearest: 'grid.measure'; it is left out"]


def test_two_actions_of_one_screen_on_one_key_are_said_and_the_rest_applies():
    path = write_keys('"grid.measure" = "d"\n"grid.copy" = "z"\n')
    keymap, (problem,) = read_keymap(path)
    assert keymap == {"grid.copy": "z"}
    for words in (str(path), 'grid.measure = "d"', "on grid d is the key of grid.depth too", "choose another"):
        assert words in problem


def test_two_new_keys_that_are_the_same_clash_too():
    keymap, (problem,) = read_keymap(write_keys('"grid.measure" = "z"\n"grid.copy" = "z"\n'))
    assert keymap == {"grid.copy": "z"}
    assert "z is the key of grid.copy too" in problem


def test_two_actions_may_change_places():
    keymap, problems = read_keymap(write_keys('"grid.measure" = "d"\n"grid.depth" = "m"\n'))
    assert problems == [] and keymap == {"grid.measure": "d", "grid.depth": "m"}


def test_a_key_of_the_app_clashes_with_those_of_every_screen():
    keymap, (problem,) = read_keymap(write_keys('quit = "y"\n'))
    assert keymap == {} and "on grid y is the key of grid.copy too" in problem


def test_the_same_key_on_two_screens_is_no_clash():
    assert read_keymap(write_keys('"grid.export" = "z"\n"runs.export" = "z"\n'))[1] == []


@given(st.dictionaries(st.sampled_from(sorted(OURS)), st.sampled_from("abcdexyzXYZ"), max_size=8))
def test_what_applies_never_gives_two_actions_of_a_screen_a_key_that_had_two(wanted):
    path = write_keys("".join(f'"{name}" = "{key}"\n' for name, key in wanted.items()))
    keymap, problems = read_keymap(path)
    assert len(keymap) + len(problems) == len(wanted)
    for bindings in SCREENS.values():
        for index, one in enumerate(bindings):
            for other in bindings[:index]:
                usual = set(one.key.split(",")) & set(other.key.split(","))
                now = [set(keymap.get(each.id, each.key).split(",")) for each in (one, other)]
                assert usual or not now[0] & now[1], (one.id, other.id)


@given(st.text())
def test_no_file_breaks_the_app(text):
    keymap, problems = read_keymap(write_keys(text.encode("utf-8", "replace").decode()))
    assert all("\n" not in problem for problem in problems)
    assert all(isinstance(Binding(keys, "none"), Binding) for keys in keymap.values())


async def test_a_key_can_be_moved():
    write_keys('"grid.measure" = "z"\n')
    make_run(runs_directory())
    async with StitchApp().run_test() as pilot:
        await wait_for_text(pilot, "z measure")
        await pilot.press("z")
        await wait_for_text(pilot, "against the bottom")


@pytest.mark.parametrize(
    ("text", "said"),
    [("grid = [[[\n", "can't be read as TOML"), ('"grid.depth" = "m"\n', "grid.measure"), ('x = "m"\n', "'x' is not")],
)
async def test_a_bad_key_file_is_named_and_the_app_goes_on(text, said):
    write_keys(text)
    make_run(runs_directory())
    async with StitchApp().run_test(size=(200, 60), notifications=True) as pilot:
        await wait_for_text(pilot, "keys.toml")
        assert said in " ".join(screen_text(pilot.app).split())
        await pilot.press("m")
        await wait_for_text(pilot, "against the bottom")
