"""The floors of docs/architecture.md, enforced on every #include of include/, src/ and jobs/.

A file includes modules of lower floors or, within its row, of its own module and those named left of
it. Workloads see public headers alone. A third-party header enters through the modules that own it.
"""

import posixpath
import re
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# (floor, modules in their order): the rows of the table in docs/architecture.md.
ROWS = [
    (0, ["error", "handle", "version", "waiting", "words"]),
    (0, ["error", "words", "range", "schedule", "tree", "layout", "statistics", "scaling"]),
    (1, ["session", "comm", "window"]),
    (1, ["serialize"]),
    (1, ["worker", "team", "watchdog"]),
    (1, ["timings"]),
    (2, ["slurm", "discover", "provenance"]),
    (2, ["simd"]),
    (2, ["new_file", "hdf5", "data"]),
    (2, ["new_file", "checkpoint"]),
    (2, ["new_file", "hdf5", "store"]),
    (3, ["chunks"]),
    (4, ["engine", "transfer", "distributed", "pool", "executor"]),
    (5, ["workload", "record", "run", "command"]),
    (6, ["launch", "results", "study_table", "compare", "predict", "study", "report"]),
    (7, ["app"]),
]

# Files of a module that do not bear its name.
MODULE_OF = {
    "absence": "comm",
    "build_info": "provenance",
    "columns": "store",
    "doctor": "layout",
    "fresh": "serialize",
    "grid_file": "data",
    "image": "data",
    "machine": "discover",
    "main": "app",
    "meeting": "comm",
    "no_agreement": "comm",
    "node_queue": "chunks",
    "png_file": "data",
    "shared_memory": "comm",
    "streamed_file": "data",
    "summary_file": "data",
    "supply": "chunks",
    "table": "data",
    "tiff": "data",
    "transport": "comm",
}

# The first part of a third-party header -> the modules that may include it.
OWNERS = {
    "boost/archive": {"serialize"},
    "boost/math": {"statistics", "scaling"},
    "boost/mpi": {"comm"},
    "boost/serialization": {"serialize"},
    "CLI": {"app"},
    "fmt": {"app", "report"},
    "hdf5.h": {"hdf5", "data", "store", "checkpoint"},
    "hwloc.h": {"discover"},
    "hwy": {"simd", "jobs"},
    "mpi.h": {"session", "comm", "chunks", "provenance"},
    "nlohmann": {"data", "workload", "run", "app", "provenance", "report", "study"},
    "png.h": {"data"},
    "primesieve.hpp": {"jobs"},
    "Random123": {"worker"},
    "spdlog": {"app"},
    "tiffio.h": {"data"},
    "toml++": {"run", "study"},
    "xxhash.h": {"timings"},
    "zlib.h": {"data"},
}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
STANDARD = re.compile(r"[a-z_0-9]+")
SYSTEM = re.compile(r"([a-z_0-9]+|(sys|linux|netinet|arpa)/[a-z_0-9]+)\.h")


def module_of(path):
    """The module of a path such as src/transport_mpi.cpp: the longest known name it begins with."""
    parts = Path(path).parts
    if parts[0] == "jobs":
        return "jobs"
    if path == "src/main.cpp":
        return "program"
    name = parts[1] if parts[0] == "src" and len(parts) > 2 else Path(path).name.split(".")[0]
    known = {module for _, row in ROWS for module in row}
    while name:
        if MODULE_OF.get(name, name) in known:
            return MODULE_OF.get(name, name)
        name = name.rpartition("_")[0]
    return None


def allowed(including, included):
    """Whether module `including` may include module `included`."""
    if including in ("jobs", "program"):
        return True
    rows = [(floor, row) for floor, row in ROWS if including in row]
    for floor, row in rows:
        left = row[: row.index(including) + 1]
        if included in left or any(included in r for f, r in ROWS if f < floor):
            return True
    return False


def third_party_owner(header):
    """The key of OWNERS that the header falls under, or None."""
    return next((key for key in OWNERS if header == key or header.startswith(key + "/")), None)


def file_of(path, header, files):
    """The path of what `path` names by #include "header"."""
    if header.startswith("cleave/"):
        return f"include/{header}"
    beside = posixpath.normpath(posixpath.join(posixpath.dirname(path), header))
    return beside if beside in files else f"src/{header}"


def violation(path, quote, header, files):
    """What is wrong with one include line of `path`; None when nothing is."""
    module = module_of(path)
    if module is None:
        return "is of no module: add it to the table of tests/floors_test.py and docs/architecture.md"
    key = third_party_owner(header)
    if key:
        return None if module in OWNERS[key] else f"includes {header}, which {sorted(OWNERS[key])} own"
    if quote == "<" and not header.startswith("cleave/"):
        known = STANDARD.fullmatch(header) or SYSTEM.fullmatch(header)
        return None if known else f"includes {header}, which no module owns"
    public = header.startswith("cleave/")
    if path.startswith("include/") and not public:
        return f"is public and includes the private {header}"
    if module in ("jobs", "program"):
        ours = header.startswith("jobs/") or file_of(path, header, files).startswith("jobs/")
        return None if public or ours else f"includes the private {header}"
    target = module_of(file_of(path, header, files))
    if target is None or not allowed(module, target):
        return f"is of module {module} and includes {header}, which stands above it or beside it"
    return None


def violations(files):
    """The violations in {path: text}, as lines "path: what"."""
    found = []
    for path, text in sorted(files.items()):
        for quote, header in INCLUDE.findall(text) or [("<", "cstddef")]:
            what = violation(path, quote, header, files)
            if what and f"{path} {what}" not in found:
                found.append(f"{path} {what}")
    return found


def sources():
    """{path: text} of our sources."""
    return {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
        for folder in ("include", "src", "jobs")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".hpp", ".cpp")
    }


def unlisted():
    """Sources that no CMakeLists.txt names: they would be neither built nor checked."""
    lists = "\n".join(
        (ROOT / folder / "CMakeLists.txt").read_text(encoding="utf-8")
        for folder in (".", "jobs", "tests", "tests/faults", "tests/fuzz", "bench")
    )
    words = set(re.findall(r"[\w./+-]+", lists))
    files = [p for f in ("include", "src", "jobs", "tests", "bench") for p in (ROOT / f).rglob("*.[ch]pp")]
    names = [str(p.relative_to(ROOT)) for p in files if "install" not in p.parts]
    return [
        name
        for name in names
        if (name.endswith(".cpp") or name.startswith("include/"))
        and not words & {name, name.partition("/")[2], Path(name).stem}
    ]


class Floors(unittest.TestCase):
    def test_every_include_stands(self):
        files = sources()
        self.assertIn("include/cleave/error.hpp", files)
        found = violations(files)
        self.assertFalse(found, "\n" + "\n".join(found))

    def test_every_source_is_listed(self):
        self.assertFalse(unlisted())

    def test_each_breach_is_found(self):
        breaches = {
            "include/cleave/range.hpp": ['"cleave/schedule.hpp"', "<mpi.h>", '"cleave/pool.hpp"'],
            "include/cleave/comm.hpp": ['"transport.hpp"', '"cleave/timings.hpp"', "<boost/serialization/vector.hpp>"],
            "src/team.cpp": ['"cleave/comm.hpp"', "<mpi.h>"],
            "src/store.cpp": ['"cleave/data.hpp"', "<hwloc.h>", "<boost/mpi/nonblocking.hpp>", "<zlib/x.h>"],
            "src/pool.cpp": ['"cleave/workload.hpp"', "<hdf5.h>", "<spdlog/spdlog.h>"],
            "src/workload.cpp": ['"cleave/run.hpp"'],
            "src/run.cpp": ['"launch.hpp"', "<CLI/CLI.hpp>"],
            "jobs/ep.cpp": ['"transport.hpp"', "<hdf5.h>"],
            "src/novel.cpp": ["<vector>"],
        }
        for path, headers in breaches.items():
            for header in headers:
                with self.subTest(path=path, header=header):
                    self.assertEqual(1, len(violations({path: f"#include {header}\n"})))

    def test_what_is_right_passes(self):
        right = {
            "src/transport_mpi.cpp": ['"transport.hpp"', "<boost/mpi/nonblocking.hpp>", "<sys/mman.h>"],
            "src/run/plan.cpp": ['"../words.hpp"', "<toml++/toml.h>"],
            "src/app/run_command.cpp": ['"cleave/run.hpp"', "<CLI/CLI.hpp>", '"app/print.hpp"'],
            "jobs/ep.cpp": ['"cleave/pool.hpp"', "<hwy/highway.h>"],
        }
        for path, headers in right.items():
            for header in headers:
                with self.subTest(path=path, header=header):
                    files = {path: f"#include {header}\n", "src/words.hpp": ""}
                    self.assertEqual([], violations(files))


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=1))
