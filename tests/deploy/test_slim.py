"""What the image's build takes out of the installed packages, and that what stays is loaded as before."""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.metadata
import importlib.util
import random
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.elf import loaded, without_symbols
from deploy.slim import AWS_SERVICES, RULES, SlimError, main, remove, shorten
from tests.checkout import ROOT

PACKAGES = Path(next(one for one in sys.path if one.endswith("site-packages")))
REPAIRED = "shapely"
"""A package whose wheel was repaired: with libraries of its own in a folder beside it, in which parts follow the symbols."""
PLAIN = "zstandard"


def library(name: str) -> bytes:
    return max((PACKAGES / name).glob("**/*.so"), key=lambda path: path.stat().st_size).read_bytes()


def copied(to: Path, *distributions: str) -> Path:
    """The files of installed distributions, without bytecode."""
    for name in distributions:
        for file in importlib.metadata.files(name) or ():
            if ".." not in file.parts and file.suffix != ".pyc":
                (to / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(PACKAGES / file, to / file)
    return to


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("pandas/tests/io/test_x.py", "tests of libraries"),
        ("numba/cuda/tests/data.cu", "tests of libraries"),
        ("jinja2/tests.py", None),
        ("numpy/testing/_private/utils.py", None),
        ("tests/__init__.py", None),
        ("botocore/data/sagemaker/2017-07-24/service-2.json.gz", "descriptions of AWS services that nothing calls"),
        ("botocore/data/s3/2006-03-01/service-2.json.gz", None),
        ("botocore/data/endpoints.json", None),
        ("botocore/data/partitions.json.gz", None),
        ("boto3/data/ec2/2016-11-15/resources-1.json", None),
        ("pyarrow/include/arrow/api.h", "sources and headers of compiled libraries"),
        ("pyarrow/lib.pyx", "sources and headers of compiled libraries"),
        ("pyarrow/lib.cpython-312-x86_64-linux-gnu.so", None),
        ("pyarrow/libarrow.so.2600", None),
        ("dagster_webserver/webapp/build/a.js.map", "maps for debuggers of browsers"),
        ("dagster_webserver/webapp/build/a.js", None),
        ("antlr4/grammar.map", None),
        ("matplotlib/mpl-data/sample_data/topobathy.npz", "matplotlib's sample data"),
        ("matplotlib/mpl-data/matplotlibrc", None),
        ("strandline-0.1.0.dist-info/uv_cache.json", "notes of when and where a package was installed"),
        ("strandline-0.1.0.dist-info/METADATA", None),
        ("x/uv_cache.json", None),
    ],
)
def test_what_goes(path: str, rule: str | None) -> None:
    assert [one.name for one in RULES if one.goes(PurePosixPath(path))] == ([rule] if rule else [])


def test_services_that_are_called_stay() -> None:
    launcher = importlib.util.find_spec("dagster_aws.ecs")
    assert launcher
    assert launcher.submodule_search_locations
    folders = [ROOT / name for name in ("pipeline_assets", "resources", "sensors", "cli", "rates_api")]
    called: set[str] = set()
    for folder in (*folders, Path(launcher.submodule_search_locations[0])):
        for path in folder.rglob("*.py"):
            called |= set(re.findall(r"(?:client|resource)\(\s*[\"']([a-z0-9-]+)[\"']", path.read_text()))
    assert {"s3", "sqs", "ecs", "athena", "ssm", "dynamodb"} <= called <= AWS_SERVICES


def test_every_service_that_stays_is_there() -> None:
    assert {path.name for path in (PACKAGES / "botocore/data").iterdir()} >= AWS_SERVICES


def test_packages_work_as_before_and_their_records_are_true(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slim = copied(tmp_path / "slim", REPAIRED, PLAIN)
    (slim / f"{REPAIRED}-note.dist-info").mkdir()
    (slim / f"{REPAIRED}-note.dist-info/uv_cache.json").write_text("{}")
    before = sum(path.stat().st_size for path in slim.rglob("*") if path.is_file())
    assert main([str(slim)]) == 0
    said = capsys.readouterr().out
    assert re.search(r"[1-9]\d*\.\d MB  symbol tables and debugging information \(\d+ files\)", said)
    assert "tests of libraries" in said
    assert sum(path.stat().st_size for path in slim.rglob("*") if path.is_file()) < before / 2
    assert not (slim / REPAIRED / "tests").exists()
    assert not (slim / f"{REPAIRED}-note.dist-info").exists()
    code = (
        "import sys, shapely, zstandard; from shapely.geometry import Point; from zstandard import backend_cffi\n"
        "assert all(one.__file__.startswith(sys.argv[1]) for one in (shapely, zstandard)), shapely.__file__\n"
        "again = zstandard.ZstdDecompressor().decompress(zstandard.ZstdCompressor().compress(b'x' * 99))\n"
        "print(round(Point(0, 0).buffer(1, quad_segs=64).area, 2), len(again))\n"
    )
    # The rest of what they need comes from behind them.
    done = subprocess.run(
        [sys.executable, "-S", "-c", code, str(slim)],
        env={"PYTHONPATH": f"{slim}:{PACKAGES}"}, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert done.stdout == "3.14 99\n", done.stderr
    records = list(slim.glob("*.dist-info/RECORD"))
    assert len(records) == 2
    for record in records:
        with record.open(newline="") as file:
            rows = list(csv.reader(file))
        assert len(rows) > 10
        for name, digest, size in rows:
            content = (slim / name).read_bytes()
            if digest:
                made = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
                assert (digest, size) == (f"sha256={made}", str(len(content))), name


def test_it_comes_out_the_same_from_folders_in_another_order(tmp_path: Path) -> None:
    one = copied(tmp_path / "one", REPAIRED)
    other = tmp_path / "other"
    files = [path for path in one.rglob("*") if path.is_file()]
    random.Random(1).shuffle(files)
    for path in files:
        target = other / path.relative_to(one)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    # As uv notes it: another time in each build.
    for folder, time in ((one, 1), (other, 2)):
        (record,) = folder.glob("*.dist-info/RECORD")
        (record.parent / "uv_cache.json").write_text(f'{{"timestamp": {time}}}')
        with record.open("a") as file:
            file.write(f"{record.parent.name}/uv_cache.json,sha256=x{time},{time}\n")
    for folder in (one, other):
        assert main([str(folder)]) == 0
    held = [
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (one, other)
    ]
    assert held[0] == held[1]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SlimError, match="expected the site-packages"):
        main([str(tmp_path / "nothing")])


def test_empty_folders_go(tmp_path: Path) -> None:
    (tmp_path / "a/tests/deep").mkdir(parents=True)
    (tmp_path / "a/tests/deep/x.py").write_text("1")
    (tmp_path / "a/kept.py").write_text("22")
    assert remove(tmp_path) == {"tests of libraries": (1, 1)}
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "kept.py"]


@pytest.mark.parametrize("name", [REPAIRED, PLAIN])
def test_only_what_is_not_mapped_goes(name: str) -> None:
    content = library(name)
    shorter = without_symbols(content)
    assert len(shorter) < len(content)
    assert loaded(shorter) == loaded(content) is not None
    assert without_symbols(shorter) == shorter
    # A program that reads what was appended to it.
    assert without_symbols(content + b"payload") == content + b"payload"
    # One part less, and it would be seen.
    assert loaded(shorter[:-1]) is None
    at = struct.unpack_from("<Q", shorter, 32)[0]
    assert loaded(shorter[:at] + bytes([shorter[at] ^ 1]) + shorter[at + 1 :]) != loaded(content)


def test_another_byte_that_is_mapped_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = library(PLAIN)
    (tmp_path / "a.so").write_bytes(content)
    wrong = without_symbols(content)[:-1] + bytes([without_symbols(content)[-1] ^ 1])
    monkeypatch.setattr("deploy.slim.without_symbols", lambda _: wrong)
    with pytest.raises(SlimError, match=r"a\.so would not be loaded as before"):
        shorten(tmp_path)
    assert (tmp_path / "a.so").read_bytes() == content


SMALL = min((PACKAGES / REPAIRED).glob("*.so"), key=lambda path: path.stat().st_size).read_bytes()


@given(
    st.lists(st.tuples(st.integers(0, 1023), st.integers(0, 255)), min_size=1, max_size=12), st.integers(0, len(SMALL))
)
def test_broken_files_are_left_alone_or_loaded_as_before(changes: list[tuple[int, int]], end: int) -> None:
    broken = bytearray(SMALL)
    for at, byte in changes:
        broken[at] = byte
    for content in (bytes(broken), SMALL[:end]):
        shorter = without_symbols(content)
        assert len(shorter) <= len(content)
        assert loaded(shorter) == loaded(content)
