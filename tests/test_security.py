"""What SECURITY.md promises of text: nothing in it is executed, interpreted, sent anywhere or shown as it is."""

from __future__ import annotations

import ast
import gzip
import json
import os
import stat
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.runner.fakes import RELATIONS_YAML, FakeEngine, jsonl
from zsre.relations.errors import RelationsFileError, UsageError
from zsre.relations.private_files import make_private, publish
from zsre.relations.relations_file import read_relations
from zsre.relations.yaml_source import MAX_BYTES
from zsre.runner import cli, job_spec
from zsre.runner.entities import load_annotator
from zsre.runner.files import replace_file, temporary_path
from zsre.runner.inputs import find_segments
from zsre.runner.parquet_input import read_rows
from zsre.runner.reading import open_lines
from zsre.runner.storage import file_system

ROOT = Path(__file__).parents[1]
PACKAGES = ("relations", "trainer", "exporter", "runner")
#: Modules and functions that run what they are given, or build whatever it asks for, and flags that allow it.
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "subprocess", "jinja2"}
FORBIDDEN_MODULES |= {"csv", "socket", "urllib.request", "http.client", "requests", "httpx"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "torch.load", "yaml.load"}
FORBIDDEN_CALLS |= {"yaml.full_load", "yaml.unsafe_load", "yaml.load_all", "runpy.run_path"}
FORBIDDEN_FLAGS = {"allow_pickle", "trust_remote_code", "shell"}
#: git, asked for the commit that zsre itself runs from; the name of the machine, for a message; zsre-train, which
#: starts itself for each fold; and the error that torch raises for a file that would have to be unpickled.
ALLOWED = {
    "runner/eval_log.py: imports subprocess",
    "runner/ray_executor.py: imports socket",
    "trainer/encoders.py: imports pickle",
    "trainer/fold_processes.py: imports subprocess",
}

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e"
TEMPLATES = "{{7*7}} {0.__class__} ${HOME} $(touch ran) `touch ran` %(x)s <% 1 %> {text!r} =cmd|'/C calc'!A0 [red]"

# Runs the command with everything that Python reports of sockets, processes and pickles noted.
WATCHED = """
import json, sys
noted = []
WATCHED = ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname",
           "os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "pickle.find_class",
           "urllib.Request", "shelve.open", "webbrowser.open")
def note(event, arguments):
    if event in WATCHED:
        noted.append(event)
sys.addaudithook(note)
import socket
def refuse(*arguments, **options):
    noted.append("socket")
    raise OSError("no network")
socket.socket.connect = socket.socket.connect_ex = refuse
socket.getaddrinfo = socket.create_connection = refuse
from zsre.runner.cli import main
code = main(sys.argv[1:])
print(json.dumps([code, noted]))
"""

cached_annotator = cache(load_annotator)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder to work in, with an engine that needs no model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(job_spec, "load_engine", lambda model, device, threads: FakeEngine())
    monkeypatch.setattr(job_spec, "load_annotator", cached_annotator)
    return tmp_path


def run(*args: str) -> int:
    return cli.main([*args, "-o", "out"])


def faults(source: str) -> Iterator[str]:
    """Yield what a module does that none here may."""
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Call):
            if ast.unparse(node.func) in FORBIDDEN_CALLS:
                yield f"calls {ast.unparse(node.func)}"
            for flag in node.keywords:
                right = isinstance(flag.value, ast.Constant) and flag.value.value is False
                if flag.arg in FORBIDDEN_FLAGS and not right:
                    yield f"sets {flag.arg}"
        yield from (f"imports {name}" for name in names if name in FORBIDDEN_MODULES or name in FORBIDDEN_CALLS)


@pytest.mark.parametrize(
    "source",
    [
        "import pickle", "from os import system", "eval(x)", "f(allow_pickle=True)", "f(trust_remote_code=wish)",
        "yaml.load(x)", "def f():\n    import subprocess", "torch.load(x, weights_only=True)", "run(x, shell=True)",
    ],
)  # fmt: skip
def test_faults_are_found(source: str) -> None:
    assert len(list(faults(source))) == 1
    assert not list(faults("import yaml, os\nyaml.safe_load(x)\nre.compile(x)\nf(trust_remote_code=False)"))


def test_no_module_executes_or_unpickles_anything() -> None:
    modules = [path for package in PACKAGES for path in sorted((ROOT / package).glob("*.py"))]
    assert len(modules) > 80
    found = {
        f"{path.parent.name}/{path.name}: {fault}" for path in modules for fault in faults(path.read_text("utf-8"))
    }
    assert found == ALLOWED


def test_whatever_loads_an_encoder_refuses_code_that_comes_with_it() -> None:
    loading = []
    for path in sorted((ROOT / "trainer").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if called.endswith((".from_pretrained", ".from_config")) or called == "SentenceTransformer":
                    loading.append((path.name, called, "trust_remote_code" in {flag.arg for flag in node.keywords}))
    assert len(loading) >= 6
    assert all(refused for _, _, refused in loading), loading


def test_extraction_uses_no_network_starts_no_process_and_unpickles_nothing(tmp_path: Path) -> None:
    corpus, relations = ROOT / "examples" / "corpus.jsonl", ROOT / "examples" / "relations.yaml"
    arguments = [str(corpus), "--relations", str(relations), "--quiet", "--device", "cpu"]
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [0, []]
    assert list((tmp_path / "corpus.triples").glob("part-*.parquet"))


def test_texts_that_look_like_templates_stay_as_they_are(place: Path) -> None:
    name = json.dumps(TEMPLATES)
    relations = f"relations:\n- name: {name}\n  description: {json.dumps('who founded ' + TEMPLATES)}\n"
    Path("relations.yaml").write_text(relations, encoding="utf-8")
    tail = "Ann {{7*7}} ${HOME} %(x)s"
    text = f"Acme was founded by {tail}."
    ends = [{"start": 0, "end": 4, "label": TEMPLATES}, {"start": 20, "end": 20 + len(tail), "label": "X"}]
    Path("corpus.jsonl").write_bytes(jsonl([{"id": TEMPLATES, "text": text, "entities": ends, "url": TEMPLATES}]))
    assert run("corpus.jsonl", "--relations", "relations.yaml", "--keep", "url", "--threshold", "0", "--quiet") == 0
    (row,) = (row for row in pq.read_table("out/part-00000.parquet").to_pylist() if row["head"] == "Acme")
    assert row["relation"] == row["relation_id"] == row["doc_id"] == row["url"] == row["head_type"] == TEMPLATES
    assert (row["tail"], row["sentence"]) == (tail, text)
    assert not Path("ran").exists()


@pytest.mark.parametrize("log", ["plain", "json"])
def test_no_text_writes_to_the_terminal(place: Path, log: str, capfd: pytest.CaptureFixture[str]) -> None:
    escaped = HOSTILE.encode("unicode-escape").decode().replace("\\x", "\\u00")
    Path("relations.yaml").write_text(RELATIONS_YAML.replace("spouse", f'"{escaped}"'), encoding="utf-8")
    text = f"Bill Gates {HOSTILE} married Melinda French in Hawaii."
    Path("corpus.jsonl").write_bytes(jsonl([{"id": HOSTILE, "text": text}, {HOSTILE: 1}]))
    flags = ("--threshold", "0", "--log-format", log)
    assert run("corpus.jsonl", "--relations", "relations.yaml", "--show", "5", *flags) == 0
    assert run("corpus.jsonl", "--relations", "relations.yaml", "--overwrite", "--on-error", "fail", *flags) == 2
    Path("bad.yaml").write_text(f'relations:\n- name: a\n  "{escaped}": b\n', encoding="utf-8")
    assert run("corpus.jsonl", "--relations", "bad.yaml", *flags) == 2
    Path(f"{HOSTILE}.jsonl").write_bytes(b"")
    assert run(f"{HOSTILE}.jsonl", "--relations", "relations.yaml", *flags) != 0
    out, err = capfd.readouterr()
    assert "owned" in out and "owned" in err
    assert all(character.isprintable() or character == "\n" for character in out + err)


@pytest.mark.parametrize(
    "text",
    [
        "relations: !!python/object/apply:os.system ['touch ran']",
        "relations:\n- !!python/object/new:subprocess.Popen [['touch', 'ran']]",
        "relations:\n- {name: !!python/name:os.system '', description: b}",
        "relations:\n- {name: a, description: !!python/module:os ''}",
    ],
)
def test_tags_of_a_relations_file_build_nothing(place: Path, text: str) -> None:
    Path("relations.yaml").write_text(text)
    with pytest.raises(RelationsFileError, match="only plain values are read"):
        read_relations(Path("relations.yaml"))
    assert not Path("ran").exists()


def test_a_relations_file_may_not_be_larger_than_it_needs_to_be(tmp_path: Path) -> None:
    path = tmp_path / "relations.yaml"
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(RelationsFileError, match="larger than 8 MiB"):
        read_relations(path)


@pytest.mark.parametrize(
    "text",
    [
        "relations:\n- {name: a, description: b, threshold: 1" + ":1" * 500_000 + "}",
        "relations:\n" + "".join(f"- {{name: a{n}, description: b, inverse: b{n}}}\n" for n in range(8_000)),
        f"types: [{', '.join(f'T{n}' for n in range(8_000))}]\nrelations:\n"
        + "".join(f"- {{name: a{n}, description: b, head: [X{n}]}}\n" for n in range(8_000)),
        f"relations:\n- {{name: {'a' * 500_000}, description: b, inverse: {'a' * 400_000}}}",
    ],
    ids=["numbers to the base of 60", "inverses", "types", "long names"],
)  # fmt: skip
def test_no_relations_file_takes_time_that_grows_with_the_square_of_its_size(tmp_path: Path, text: str) -> None:
    # In a process of its own that is ended: what this is about takes from minutes to hours.
    (tmp_path / "relations.yaml").write_text(text)
    reading = "from zsre.relations.relations_file import *\nread_relations(Path('relations.yaml'), ['A'])"
    done = subprocess.run(
        [sys.executable, "-c", reading], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=100
    )
    assert "RelationsFileError" in done.stderr
    assert len(done.stderr) < 20_000, "a message shows no more than a person can read"


def test_a_line_of_any_length_is_never_held(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "corpus.jsonl.gz", "wb", compresslevel=1) as file:
        for _ in range(64):
            file.write(bytes(2**20))
        file.write(b'\n{"text": "a"}\n')
    (segment,) = find_segments([str(tmp_path / "corpus.jsonl.gz")])
    opened = open_lines(segment, max_line_bytes=2**16)
    tracemalloc.start()
    lines = list(opened.lines)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    opened.close()
    assert [line.too_long for line in lines] == [True, False]
    assert most < 8 * 2**20


def test_parquet_unpickles_nothing(place: Path) -> None:
    payload = b"cos\nsystem\n(S'touch ran'\ntR."
    field = pa.field(
        "text", pa.string(),
        metadata={"ARROW:extension:name": "arrow.py_extension_type", "ARROW:extension:metadata": payload},
    )  # fmt: skip
    pq.write_table(pa.table([["Bill Gates founded Microsoft."]], schema=pa.schema([field])), "corpus.parquet")
    Path("relations.yaml").write_text(RELATIONS_YAML)
    assert run("corpus.parquet", "--relations", "relations.yaml", "--quiet") == 0
    assert not Path("ran").exists()


def test_a_row_that_python_has_no_value_for_stops_no_run(place: Path) -> None:
    bad = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")])
    columns = {
        "nanoseconds": pa.array([1], pa.timestamp("ns")),
        "far": pa.array([2**62], pa.timestamp("us")),
        "day": pa.array([2**30], pa.date32()),
        "long": pa.array([2**62], pa.duration("s")),
        "bad": bad,
    }
    pq.write_table(pa.table({"text": ["Bill Gates founded Microsoft."], **columns}), "corpus.parquet")
    (line,) = read_rows("corpus.parquet", 1, 1, 2**20, ["text", *columns])
    read = json.loads(line.data)
    assert read.keys() == {"text", *columns}
    assert read["nanoseconds"] == "1970-01-01T00:00:00.000000001"
    Path("relations.yaml").write_text(RELATIONS_YAML)
    assert run("corpus.parquet", "--relations", "relations.yaml", "--keep", "far,day", "--quiet") == 0
    assert run("corpus.parquet", "--relations", "relations.yaml", "--keep", "bad", "--quiet", "--overwrite") == 3
    assert json.loads(Path("out/rejects.jsonl").read_text())["reason"] == "lone_surrogate"


@pytest.mark.parametrize("uri", ["fsspec+os://x", "fsspec+subprocess.Popen://x", "python://x"])
def test_the_name_of_a_store_is_no_module(uri: str) -> None:
    with pytest.raises(UsageError, match="cannot be opened"):
        file_system(uri)


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
def test_a_file_is_private_until_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "part.parquet"
    (tmp_path / "any").touch()
    usual = (tmp_path / "any").stat().st_mode
    seen: list[int] = []

    def write(file: BinaryIO) -> None:
        seen.append(stat.S_IMODE(temporary_path(path).stat().st_mode))
        file.write(b"rows")

    replace_file(path, write)
    assert (seen, path.stat().st_mode, path.read_bytes()) == ([0o600], usual, b"rows")


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_in_the_place_of_a_temporary_file_is_not_followed(tmp_path: Path) -> None:
    precious, path = tmp_path / "precious", tmp_path / "run.json"
    precious.write_text("precious")
    temporary_path(path).symlink_to(precious)
    replace_file(path, lambda file: file.write(b"new"))
    (tmp_path / "other.tmp").symlink_to(precious)
    made = make_private(tmp_path / "other.tmp")
    made.write_text("other")
    publish(made, tmp_path / "other")
    assert (precious.read_text(), path.read_text(), (tmp_path / "other").read_text()) == ("precious", "new", "other")


def test_what_security_md_names_is_there() -> None:
    page = (ROOT / "SECURITY.md").read_text("utf-8")
    named = [name for name in page.replace("`", " ").split() if name.startswith("tests/") and name.endswith(".py")]
    assert named
    assert all((ROOT / name).is_file() for name in named)
