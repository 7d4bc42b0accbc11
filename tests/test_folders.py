"""The folder writer: whole or absent whatever happens, and nothing of anybody else is lost."""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings, strategies as st

from crmlab.errors import SpecError
from crmlab.tables.folders import (
    MARK,
    FolderKind,
    check_folder,
    make_aside,
    new_folder,
    sweep,
    write_file,
)

ROOT = Path(__file__).resolve().parents[1]
NOTES = FolderKind("crmlab notes")
NAMES = st.text("abcd-_ é", min_size=1, max_size=6).filter(lambda name: name.strip() == name)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


def is_one_tree(paths):
    """No path runs through another one, which is a file."""
    return not any(one.startswith(f"{other}/") for one in paths for other in paths)


TREES = st.dictionaries(PATHS, st.binary(max_size=20), max_size=5).filter(is_one_tree)


def write(folder, tree, kind=NOTES):
    with new_folder(folder, kind) as aside:
        for name, content in tree.items():
            write_file(aside / name, content)


def read(folder):
    """Every file of a folder but the mark, by its path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != MARK
    }


def finished_process():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


# Replacing ----------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(older=TREES, newer=TREES)
def test_a_folder_is_replaced_whole(tmp_path_factory, older, newer):
    home = tmp_path_factory.mktemp("home")
    for tree in (older, newer):
        write(home / "notes", tree)
        assert read(home / "notes") == tree
        mark = json.loads((home / "notes" / MARK).read_text(encoding="utf-8"))
        assert (mark["format"], set(mark["files"])) == ("crmlab notes", set(tree))
    assert os.listdir(home) == ["notes"]


@settings(deadline=None, max_examples=40)
@given(tree=TREES, other=PATHS, is_folder=st.booleans())
def test_whatever_somebody_puts_into_it_survives(tmp_path_factory, tree, other, is_folder):
    folder = tmp_path_factory.mktemp("home") / "notes"
    write(folder, tree)
    new = [name for name in (other, *map(str, Path(other).parents)) if name != "."]
    if not is_one_tree([*tree, other]) or any(name in tree for name in new):
        return
    if is_folder and (folder / other).exists():
        return
    (folder / other).parent.mkdir(parents=True, exist_ok=True)
    if is_folder:
        (folder / other).mkdir()
    else:
        (folder / other).write_bytes(b"mine")
    before = read(folder)
    with pytest.raises(SpecError, match="also holds"):
        write(folder, {"a": b"new"})
    assert read(folder) == before
    assert (folder / other).exists()


def test_the_sentence_names_the_folder_the_file_the_rule_and_the_way_out(tmp_path):
    write(tmp_path / "out", {"a": b""})
    (tmp_path / "out/thesis.txt").write_text("three years of work")
    with pytest.raises(SpecError) as refused:
        check_folder(tmp_path / "out", NOTES)
    assert str(refused.value) == (
        f"{tmp_path}/out also holds thesis.txt and stays as it is: crmlab replaces only a folder "
        "that says 'crmlab notes' in its crmlab.json and holds nothing else. Name a new or an "
        "empty folder, or move the contents of this one."
    )


@pytest.mark.parametrize(
    "mark",
    [
        None,
        "",
        "{",
        "[]",
        '"crmlab notes"',
        '{"name": "my app", "start_url": "/"}',
        '{"format": "crmlab fit", "files": ["a.txt"]}',
        '{"format": ["crmlab notes"], "files": ["a.txt"]}',
    ],
)
def test_a_folder_without_the_mark_is_not_replaced(tmp_path, mark):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.txt").write_text("mine")
    if mark is not None:
        (tmp_path / "out" / MARK).write_text(mark)
    with pytest.raises(SpecError, match="out is something else"):
        write(tmp_path / "out", {"a.txt": b"new"})
    assert (tmp_path / "out/a.txt").read_text() == "mine"
    assert os.listdir(tmp_path) == ["out"]


def test_a_file_is_not_replaced_by_a_folder(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(SpecError, match="out is a file"):
        write(tmp_path / "out", {})
    assert (tmp_path / "out").read_text() == "mine"


def test_new_and_empty_folders_are_fine_and_so_is_what_a_file_manager_leaves(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "seen").mkdir()
    (tmp_path / "seen/.DS_Store").write_bytes(b"\0")
    for name in ("empty", "seen", "new/below"):
        write(tmp_path / name, {"a": b"1"})
        (tmp_path / name / ".DS_Store").write_bytes(b"\0")
        write(tmp_path / name, {"a": b"2"})
        assert read(tmp_path / name) == {"a": b"2"}


def test_a_link_leads_to_the_folder_that_is_replaced(tmp_path):
    write(tmp_path / "real", {"a": b"1"})
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write(tmp_path / "link", {"a": b"2"})
    assert (tmp_path / "link").is_symlink()
    assert read(tmp_path / "real") == {"a": b"2"}


def test_a_mark_with_more_to_say_is_completed(tmp_path):
    for _ in range(2):
        with new_folder(tmp_path / "out", NOTES) as aside:
            (aside / MARK).write_text('{"seed": 7}')
            (aside / "a").touch()
    mark = json.loads((tmp_path / "out" / MARK).read_text())
    assert mark == {"format": "crmlab notes", "version": 1, "seed": 7, "files": ["a"]}


# Failing ------------------------------------------------------------------------------------------


def test_a_failing_write_leaves_the_older_one(tmp_path):
    write(tmp_path / "out", {"a": b"old"})
    with pytest.raises(TypeError):
        write(tmp_path / "out", {"a": b"new", "b": 7})
    assert read(tmp_path / "out") == {"a": b"old"}
    assert os.listdir(tmp_path) == ["out"]


def test_what_somebody_saves_into_it_meanwhile_survives(tmp_path):
    write(tmp_path / "out", {"a": b"old"})
    with pytest.raises(SpecError, match="also holds thesis"), new_folder(tmp_path / "out", NOTES):
        (tmp_path / "out/thesis").write_bytes(b"mine")
    assert read(tmp_path / "out") == {"a": b"old", "thesis": b"mine"}
    assert os.listdir(tmp_path) == ["out"]


failing_renames: list[str] = []


def refuse_renames(event, arguments):
    if event == "os.rename" and Path(str(arguments[0])).name in failing_renames:
        raise PermissionError(f"{arguments[0]} is in use")


sys.addaudithook(refuse_renames)  # the system's own door: it sees every rename, and may refuse it


@contextmanager
def refused(*names):
    failing_renames.extend(names)
    try:
        with pytest.raises(PermissionError, match="is in use"):
            yield
    finally:
        failing_renames.clear()


@pytest.mark.parametrize("name", ["out", "new"])
def test_a_failing_rename_leaves_the_older_one(tmp_path, name):
    """A file that a spreadsheet holds open, on Windows: either rename may be refused."""
    write(tmp_path / "out", {"a": b"old"})
    with refused(name):
        write(tmp_path / "out", {"a": b"new"})
    assert read(tmp_path / "out") == {"a": b"old"}
    assert os.listdir(tmp_path) == ["out"]


def test_an_older_one_that_cannot_be_moved_back_is_kept(tmp_path):
    write(tmp_path / "out", {"a": b"old"})
    with refused("new", "old"):
        write(tmp_path / "out", {"a": b"new"})
    (left,) = tmp_path.iterdir()
    assert read(left / "old") == {"a": b"old"}


def test_writers_at_the_same_time_leave_one_whole_folder(tmp_path):
    """One of them wins; another one may be refused, as the folder moves under its hands."""

    def try_to_write(k):
        with suppress(OSError, SpecError):
            write(tmp_path / "out", dict.fromkeys(("a", "b", "c/d"), str(k).encode()))

    with ThreadPoolExecutor(8) as executor:
        list(executor.map(try_to_write, range(40)))
    assert len(set(read(tmp_path / "out").values())) == 1
    assert len(read(tmp_path / "out")) == 3
    assert os.listdir(tmp_path) == ["out"]


def test_a_file_is_whole_or_as_it_was(tmp_path):
    write_file(tmp_path / "made/a.csv", "é\n")
    assert (tmp_path / "made/a.csv").read_bytes() == "é\n".encode()
    with refused(".a.csv.crmlab-part"):
        write_file(tmp_path / "made/a.csv", "new")
    assert (tmp_path / "made/a.csv").read_bytes() == "é\n".encode()
    assert os.listdir(tmp_path / "made") == ["a.csv"]


CLOSED = """
import os, sys
from pathlib import Path
from crmlab.errors import SpecError
from crmlab.tables.folders import FolderKind, check_files, check_folder, new_folder

home, kind = Path(sys.argv[1]), FolderKind("crmlab notes")
if os.getuid() == 0:
    os.setuid(65534)
with new_folder(home / "open/mine", kind) as aside:
    (aside / "a").touch()
(home / "open/mine").chmod(0o500)
for check in (
    lambda: check_folder(home / "closed/out", kind),
    lambda: check_folder(home / "closed/below/it/out", kind),
    lambda: check_folder(home / "hidden/out", kind),
    lambda: check_folder(home / "open/mine", kind),
    lambda: check_files([home / "closed/a.csv", home / "hidden/a.csv"]),
):
    try:
        check()
        print("fine")
    except SpecError as problem:
        print(" ".join(str(problem).split()))
"""


@pytest.mark.skipif(os.name != "posix", reason="other systems have other permissions")
def test_a_place_that_cannot_be_written_is_refused_and_left_as_it_is():
    with TemporaryDirectory() as home:  # which, unlike pytest's own, may be opened to others
        said = asked_by_nobody(Path(home))
        assert [path.name for path in Path(home).rglob("*")].count("mine") == 1
    assert ["cannot be written" in line for line in said] == [True, True, True, False, True]
    assert "is read-only and stays as it is" in said[3]
    assert "2 problems" in said[4]
    assert "Permission denied" in said[0]


def asked_by_nobody(home):
    """What is said to a user who may write into one of three folders, and look into two."""
    home.chmod(0o755)
    for name, mode in (("closed", 0o555), ("hidden", 0o700), ("open", 0o777)):
        (home / name).mkdir()
        (home / name).chmod(mode)
    if os.getuid():
        (home / "hidden").chmod(0o000)
    command = [sys.executable, "-c", CLOSED, str(home)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    (home / "hidden").chmod(0o700)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


# Killed -------------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from pathlib import Path
from crmlab.tables.folders import FolderKind, new_folder, write_file

REMOVES = {"os.rmdir", "os.remove"}  # told without the folder
TOUCHES = {"open", "os.mkdir", "os.rename", "shutil.rmtree"} | REMOVES

def write(folder, content):
    with new_folder(folder, FolderKind("crmlab notes")) as aside:
        for name in ("a", "below/b"):
            write_file(aside / name, content)

def write_until(moment, folder):
    left = [moment]
    def hook(event, arguments):
        is_there = event in REMOVES or str(folder.parent) in str(arguments[0])
        if event in TOUCHES and is_there:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)
    write(folder, "new")
    os._exit(0)

for start in ("older", "empty", "none"):
    for moment in range(100):
        folder = Path(sys.argv[1], f"{start}-{moment:02d}", "out")
        folder.parent.mkdir()
        if start == "older":
            write(folder, "old")
        elif start == "empty":
            folder.mkdir()
        child = os.fork()
        if child == 0:
            write_until(moment, folder)
        if os.waitpid(child, 0)[1] == 0:
            break
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="nothing kills like this here")
def test_killed_before_each_touch_of_the_disk(tmp_path):
    """Whole or absent at once; the next writer beside it gives back the older one, and sweeps."""
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    old, new = ({"a": text, "below/b": text} for text in (b"old", b"new"))
    for start, before in {"older": old, "empty": {}, "none": None}.items():
        homes = sorted(tmp_path.glob(f"{start}-*"))
        assert 10 < len(homes) < 100, "killed at many moments, and finished in the end"
        for home in homes:
            folder = home / "out"
            found = [read(folder)] if folder.exists() else []
            assert all(tree in (before, new) for tree in found)
            write(home / "other", {})
            assert sorted(os.listdir(home)) == ["other", "out"][: 1 + folder.exists()]
            assert found in ([], [read(folder)] if folder.exists() else [])
            assert folder.exists() or start == "none"
        assert read(homes[-1] / "out") == new
        assert len([home for home in homes if read(home / "out") == new]) > 1


# What is left -------------------------------------------------------------------------------------


def leave(home, *, target="out", **changes):
    """What a process that was killed between the two renames leaves."""
    left = make_aside(home, target)
    write(left / "old", {"a": target.encode()})
    mark = json.loads((left / MARK).read_text())
    (left / MARK).write_text(json.dumps({**mark, "process": finished_process(), **changes}))
    return left


def test_each_older_folder_goes_back_to_its_own_place(tmp_path):
    for target in ("out", "out-2", "out-2-x"):
        leave(tmp_path, target=target)
    sweep(tmp_path)
    found = {path.name: read(path) for path in tmp_path.iterdir()}
    assert found == {name: {"a": name.encode()} for name in ("out", "out-2", "out-2-x")}


def test_a_newer_folder_is_not_replaced_by_the_older_one(tmp_path):
    leave(tmp_path)
    write(tmp_path / "later", {})
    write(tmp_path / "out", {"a": b"new"})
    leave(tmp_path)
    sweep(tmp_path)
    assert read(tmp_path / "out") == {"a": b"new"}
    assert sorted(os.listdir(tmp_path)) == ["later", "out"]


@pytest.mark.parametrize(
    "changes",
    [
        {"process": os.getpid()},
        {"host": "another computer"},
        {"format": "somebody's"},
        {"process": "many"},
    ],
    ids=["our own process", "another computer", "another format", "no number"],
)
def test_what_may_be_at_work_or_is_not_ours_stays(tmp_path, changes):
    left = leave(tmp_path, **changes)
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == [left]
    assert read(left / "old") == {"a": b"out"}


def test_a_folder_that_is_only_named_like_ours_stays(tmp_path):
    pid = finished_process()
    for name in (f".crmlab-{pid}-x", f"crmlab-{pid}-x", f".out-{pid}-x", ".crmlab-my-notes"):
        (tmp_path / name / "old").mkdir(parents=True)
        (tmp_path / name / "precious.txt").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    sweep(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_one_that_a_killed_process_did_not_come_to_mark_goes(tmp_path):
    for end in ("a", "b"):
        (tmp_path / f".crmlab-{finished_process()}-{end}").mkdir()
    (tmp_path / f".crmlab-{os.getpid()}-c").mkdir()  # this process may be about to mark it
    (next(tmp_path.glob("*-b")) / MARK).touch()
    sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [f".crmlab-{os.getpid()}-c"]
