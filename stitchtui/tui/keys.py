"""The keys of the app and of every screen, each with an id to move it by."""

from dataclasses import replace

from textual.binding import Binding


def key(keys: str, action: str, hint: str, tooltip: str, id: str, *, show: bool = False) -> Binding:
    """A binding with everything the house wants of one: an id to move it by, and a sentence that explains it."""
    return Binding(keys, action, hint, id=id, tooltip=tooltip, show=show)


# Of every screen; those that lie over others, which keep the app's keys away, have them too.
ANYWHERE = [
    key("question_mark,f1", "app.help", "help", "Explain the keys, the colours and the words of this screen", "help"),
    # priority: in a text field too, which takes every letter
    replace(key("ctrl+q", "app.quit", "quit", "Leave the app, from a text field too", "quit_anywhere"), priority=True),
]

APP = [
    key("n", "new", "new", "Start a run: pick two networks", "new", show=True),
    key("r", "runs", "runs", "List every run: attach, stop, resume, compare, export", "runs", show=True),
    key("p", "presets", "presets", "List the presets: read what each claims, start one", "presets", show=True),
    key("q", "leave", "quit", "Leave the app; a run that is going on goes on", "quit"),
    *ANYWHERE,
]

GRID = [
    key(
        "escape",
        "back",
        "back",
        "From the filter to all columns, from the depth plot to the grid",
        "grid.back",
        show=True,
    ),
    key("enter", "open_cell", "open", "All that is known of the cell, and what to ask next", "grid.open", show=True),
    key("m", "measure(1)", "measure", "The next measure: penalty, against the bottom, ...", "grid.measure", show=True),
    key("x", "cross", "cross", "Every cut with every cut of a pair, or back to the pairs", "grid.cross"),
    key("d", "depth", "depth", "What is shown against depth, or back to the grid", "grid.depth", show=True),
    key("s", "stop", "stop", "Stop the run; it asks first", "grid.stop", show=True),
    key("R", "resume", "resume", "Go on with a run that was stopped, lost or failed", "grid.resume", show=True),
    key("f", "findings", "findings", "What it found: claims, verdicts, warnings", "grid.findings", show=True),
    key("e", "export", "export", "Write the run's numbers to a file", "grid.export", show=True),
    key("y", "copy", "copy", "Copy the grid as text, to the clipboard and to a file", "grid.copy"),
    key("slash", "filter", "filter", "Show the columns whose name holds some words", "grid.filter"),
    key("o", "sort", "sort", "Order the columns: as planned, largest first, smallest first", "grid.sort"),
    key("left,h", "move(0, -1)", "left", "The column to the left", "grid.left"),
    key("down,j", "move(1, 0)", "down", "The next cut", "grid.down"),
    key("up,k", "move(-1, 0)", "up", "The cut before", "grid.up"),
    key("right,l", "move(0, 1)", "right", "The column to the right", "grid.right"),
    key("g,home", "first", "first cut", "The cut next to the input", "grid.first"),
    key("G,end", "last", "last cut", "The cut next to the output", "grid.last"),
    key("M", "measure(-1)", "measure before", "Show the measure before", "grid.measure_back"),
    key("C", "ramp", "colours", "Colour with cividis or with viridis", "grid.ramp"),
]

CELL = [
    key("escape,backspace,left,h", "back", "back", "Back to the grid", "cell.back", show=True),
    key("j", "next", "next question", "Mark the next question", "cell.next"),
    key("k", "before", "question before", "Mark the question before", "cell.before"),
    # before the list's own, which would move its mark
    replace(
        key("pagedown", "scroll_facts(1)", "more", "Read on in what is known", "cell.more", show=True), priority=True
    ),
    replace(key("pageup", "scroll_facts(-1)", "less", "Scroll back", "cell.less"), priority=True),
    key("y", "copy", "copy", "Copy all that is known of the cell", "cell.copy", show=True),
]

FINDINGS = [
    key("escape,backspace,left,h", "back", "back", "Back to the grid", "findings.back", show=True),
    key("down,j", "scroll('down')", "down", "A line further", "findings.down", show=True),
    key("up,k", "scroll('up')", "up", "A line back", "findings.up", show=True),
    key("pagedown,space", "scroll('page_down')", "page down", "A screen further", "findings.page_down"),
    key("pageup", "scroll('page_up')", "page up", "A screen back", "findings.page_up"),
    key("g,home", "scroll('home')", "first", "To the first line", "findings.first"),
    key("G,end", "scroll('end')", "last", "To the last line", "findings.last"),
    key("y", "copy", "copy", "Copy the sentences", "findings.copy", show=True),
]

NEW = [
    # priority: the list and the text fields have an `enter` of their own, which would hide these
    replace(key("enter", "pick", "pick", "Pick the marked network", "new.pick", show=True), priority=True),
    replace(key("enter", "start", "start", "Start the run", "new.start", show=True), priority=True),
    key("slash", "filter", "filter", "Filter the list by words, or type a file's path", "new.filter", show=True),
    key("y", "copy", "copy", "Copy the command line that does the same", "new.copy", show=True),
    key("x", "swap", "swap", "Let bottom and top change places", "new.swap", show=True),
    key("escape", "back", "back", "One step back; from the first, to the grid", "new.back", show=True),
    key("down,j", "move('cursor_down')", "down", "To the next line", "new.down"),
    key("up,k", "move('cursor_up')", "up", "To the line before", "new.up"),
    key("g", "move('first')", "first", "To the first line", "new.first"),
    key("G", "move('last')", "last", "To the last line", "new.last"),
    key("pagedown", "scroll_chains(1)", "cuts down", "Down the list; later, further cuts of both", "new.cuts_down"),
    key("pageup", "scroll_chains(-1)", "cuts up", "Up the list; later, earlier cuts of both", "new.cuts_up"),
]

CUTS = [
    # before a choice's own, which would take the next value
    replace(key("space", "mark_cuts", "mark cuts", "Mark cuts in a list", "new.mark_cuts", show=True), priority=True),
]

MARKS = [
    # priority: a list has an `enter` of its own, which would hide this
    replace(key("enter", "take", "take", "Stitch at the marked cuts", "marks.take", show=True), priority=True),
    key("space", "mark", "mark", "Mark this cut, or take its mark away", "marks.mark", show=True),
    key("a", "mark_all", "all, none", "Mark every cut of this list, or none", "marks.all", show=True),
    key("escape", "leave", "back", "Leave the cuts as they were", "marks.leave", show=True),
    key(
        "tab,left,right,h,l",
        "other",
        "bottom, top",
        "From the bottom's cuts to the top's, or back",
        "marks.other",
        show=True,
    ),
    key("j", "list('cursor_down')", "down", "To the next cut", "marks.down"),
    key("k", "list('cursor_up')", "up", "To the cut before", "marks.up"),
    key("g", "list('first')", "first", "To the cut next to the input", "marks.first"),
    key("G", "list('last')", "last", "To the cut next to the output", "marks.last"),
    *ANYWHERE,
]

CHOICE = [
    key("left,h", "step(-1)", "before", "The value before", "new.before"),
    key("right,l,space", "step(1)", "next", "The next value", "new.next"),
]

RUNS = [
    key("enter", "open", "open", "Watch this run in the grid", "runs.open", show=True),
    key("s", "stop", "stop", "Stop this run; what it measured stays", "runs.stop", show=True),
    key("r,R", "resume", "resume", "Go on with a run that was stopped or lost", "runs.resume", show=True),
    key("space", "mark", "mark", "Mark this run, to compare two", "runs.mark", show=True),
    key("c", "compare", "compare", "Compare two marked runs, or a marked one with this", "runs.compare", show=True),
    key("e", "export", "export", "Write this run's numbers to a file", "runs.export"),
    key("y", "copy", "copy", "Copy the path of this run", "runs.copy"),
    key("slash", "filter", "filter", "Show only runs that hold what you type", "runs.filter"),
    key("o", "sort", "sort", "Sort by age, by name or by status", "runs.sort"),
    key("escape", "back", "back", "Back to the grid", "runs.back", show=True),
    key("l", "label", "label", "Give this run a label and a note", "runs.label", show=True),
    key("D", "delete", "delete", "Delete this run; it asks twice, and never deletes one that runs", "runs.delete"),
]

LIST = [
    key("down,j", "move(1)", "down", "To the next run", "list.down"),
    key("up,k", "move(-1)", "up", "To the run before", "list.up"),
    key("g,home", "to(0)", "first", "To the newest run", "list.first"),
    key("G,end", "to(-1)", "last", "To the last run", "list.last"),
    key("pagedown", "page(1)", "page down", "A screen further", "list.page_down"),
    key("pageup", "page(-1)", "page up", "A screen back", "list.page_up"),
]

COMPARE = [
    key("h", "table('cursor_left')", "left", "To the column on the left", "compare.left"),
    key("j", "table('cursor_down')", "down", "To the next cut", "compare.down"),
    key("k", "table('cursor_up')", "up", "To the cut before", "compare.up"),
    key("l", "table('cursor_right')", "right", "To the column on the right", "compare.right"),
    key("g", "table('scroll_top')", "first", "To the first cut", "compare.first"),
    key("G", "table('scroll_bottom')", "last", "To the last cut", "compare.last"),
    key("x", "swap", "swap", "Take the difference the other way round", "compare.swap", show=True),
    key("y", "copy", "copy", "Copy the differences as a Markdown table", "compare.copy", show=True),
    key("escape", "back", "back", "Back to the runs", "compare.back", show=True),
]

PRESETS = [
    # before the list's own Enter, which the footer wouldn't show
    replace(key("enter", "start", "start", "Start this preset", "presets.start", show=True), priority=True),
    key("c", "change", "change first", "Change it in New before it is started", "presets.change", show=True),
    replace(key("pagedown,space", "scroll('page_down')", "more", "Read on", "presets.read_on"), priority=True),
    replace(key("pageup", "scroll('page_up')", "back up", "Read what went before", "presets.read_back"), priority=True),
    key("y", "copy", "copy", "Copy the command line that starts it", "presets.copy", show=True),
    key("j", "list('cursor_down')", "down", "To the next preset", "presets.down"),
    key("k", "list('cursor_up')", "up", "To the preset before", "presets.up"),
    key("g", "list('first')", "first", "To the first preset", "presets.first"),
    key("G", "list('last')", "last", "To the last preset", "presets.last"),
    key("escape", "back", "back", "Back to the grid", "presets.back", show=True),
]

EXPORT = [
    # priority: list and field have an `enter` of their own, which would hide this
    replace(key("enter", "write", "write", "Write the file", "export.write", show=True), priority=True),
    key("tab", "app.focus_next", "kind or name", "From the kinds to the name, or back", "export.other", show=True),
    key("escape", "leave", "back", "Write nothing", "export.leave", show=True),
    key("j", "list('cursor_down')", "down", "The next kind", "export.down"),
    key("k", "list('cursor_up')", "up", "The kind before", "export.up"),
    *ANYWHERE,
]

LABEL = [
    # priority: a field has an `enter` of its own, which would hide this
    replace(key("enter", "take", "keep", "Keep both as they are written here", "label.take", show=True), priority=True),
    key(
        "tab,down,up",
        "app.focus_next",
        "label or note",
        "From the label to the note, or back",
        "label.other",
        show=True,
    ),
    key("escape", "leave", "back", "Leave both as they were", "label.leave", show=True),
    ANYWHERE[-1],  # a field takes the letter that asks for help
]

CONFIRM = [
    key("y", "answer(True)", "yes", "Do it", "confirm.yes", show=True),
    key("n,escape", "answer(False)", "no", "Leave everything as it is", "confirm.no", show=True),
    # priority: a button has an `enter` of its own, which would hide this
    replace(key("enter", "take", "answer", "Give the marked answer", "confirm.take", show=True), priority=True),
    key("left,right,h,l", "app.focus_next", "switch", "Mark the other answer", "confirm.other", show=True),
    *ANYWHERE,
]

HELP = [
    key("escape,q,question_mark,f1", "leave", "back", "Back to where you were", "help.leave", show=True),
    key("j,down", "scroll('down')", "down", "Scroll down", "help.down", show=True),
    key("k,up", "scroll('up')", "up", "Scroll up", "help.up", show=True),
    key("pagedown,space", "scroll('page_down')", "page down", "A screen further", "help.page_down"),
    key("pageup", "scroll('page_up')", "page up", "A screen back", "help.page_up"),
    key("g,home", "scroll('home')", "top", "To the top", "help.top", show=True),
    key("G,end", "scroll('end')", "end", "To the end", "help.end", show=True),
    ANYWHERE[-1],
]

# What works together: a key must mean one thing on a screen. Those that lie over others keep the app's keys away.
SCREENS: dict[str, list[Binding]] = {
    "grid": [*GRID, *APP],
    "cell": [*CELL, *APP],
    "findings": [*FINDINGS, *APP],
    "new": [*NEW, *CUTS, *CHOICE, *APP],
    "marks": MARKS,
    "runs": [*RUNS, *LIST, *APP],
    "compare": [*COMPARE, *APP],
    "presets": [*PRESETS, *APP],
    "export": EXPORT,
    "label": LABEL,
    "confirm": CONFIRM,
    "help": HELP,
}
