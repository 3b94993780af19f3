#!/usr/bin/env python3
"""Shows that layers_test.py can fail: each planted violation must be reported at its line, and a clean tree must pass."""
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

LAYERS_TEST = Path(__file__).with_name("layers_test.py")

CLEAN = {
    "engine/base/time.h": "#pragma once\n#include <chrono>\n",
    "engine/data/batch.h": '#include "engine/base/time.h"\nclass Batch;\n',
    "state/rocksdb_backend.cc": '#include <rocksdb/db.h>\n#include "engine/data/batch.h"\n',
    "connectors/formats/json.h": '#include "engine/data/batch.h"\n',
    "connectors/kafka/handle.h": "#include <librdkafka/rdkafka.h>\n",
    "connectors/kafka/source.cc": '#include "connectors/kafka/handle.h"\n#include "connectors/formats/json.h"\n',
    "jobs/clicks/main.cc": '#include "connectors/formats/json.h"\nusing Other = lib::Handler::Type;  // class Manager\n',
    "tests/state/a_test.cc": '#include <rocksdb/db.h>\n#include "connectors/kafka/handle.h"\n',
    "tests/state/b_test.py": "",
    "tests/state/CMakeLists.txt": "tidemill_test(NAME a_test SOURCES a_test.cc)\nforeach(script b_test)\n",
    "build/release/generated.cc": '#include "nowhere.h"\n',
}

# What is planted -> the beginning of the line that must be reported.
PLANTED = {
    "a higher step": ("engine/base/bad.h", '\n#include "engine/data/batch.h"\n', "engine/base/bad.h:2: engine/base includes"),
    "engine above state": ("engine/runtime/bad.cc", '#include "state/table.h"\n', "engine/runtime/bad.cc:1: engine/runtime includes"),
    "a sibling connector": ("connectors/redis/bad.cc", '#include "connectors/kafka/source.h"\n', "connectors/redis/bad.cc:1: "),
    "operators and connectors": ("operators/bad.h", '#include "connectors/formats/json.h"\n#include "connectors/file/x.h"\n',
                                 "operators/bad.h:2: operators includes"),
    "another job": ("jobs/other/bad.cc", '#include "jobs/clicks/events.h"\n', "jobs/other/bad.cc:1: jobs/other includes"),
    "a test from product code": ("state/bad.cc", '#include "tests/state/x.h"\n', "state/bad.cc:1: state includes tests"),
    "rocksdb elsewhere": ("state/bad.cc", "#include <rocksdb/db.h>\n", "state/bad.cc:1: <rocksdb/db.h> may be named only"),
    "librdkafka elsewhere": ("service/bad.cc", "#include <librdkafka/rdkafka.h>\n", "service/bad.cc:1: <librdkafka/rdkafka.h>"),
    "hiredis elsewhere": ("jobs/clicks/bad.cc", "\n\n#include <hiredis/hiredis.h>\n", "jobs/clicks/bad.cc:3: <hiredis/hiredis.h>"),
    "a heavy public header": ("jobs/clicks/bad.cc", '#include "connectors/kafka/handle.h"\n', "connectors/kafka/handle.h:1: "),
    "a relative include": ("state/bad.cc", '#include "table.h"\n', 'state/bad.cc:1: "table.h" is not from the project root'),
    "a relative include in a test": ("tests/bad.cc", '#include "x.h"\n', 'tests/bad.cc:1: "x.h" is not from the project root'),
    "a long file": ("bench/bad.cc", "\n" * 501, "bench/bad.cc:501: the file has 501 lines"),
    "a file name": ("state/table_utils.h", "\n", "state/table_utils.h:1: this file name"),
    "a class name": ("tests/bad.cc", "\nclass TableManager {\n", "tests/bad.cc:2: the name TableManager"),
    "a namespace": ("state/bad.cc", "namespace tidemill::helpers {\n", "state/bad.cc:1: the name tidemill::helpers"),
    "a forgotten test": ("tests/operators/bad_test.cc", "", "tests/operators/bad_test.cc:1: no CMakeLists.txt"),
    "a forgotten header": ("engine/data/CMakeLists.txt", "tidemill_module(NAME data HEADERS b.h)\n",
                           "engine/data/batch.h:1: engine/data/CMakeLists.txt does not name this header"),
    "another header first": ("connectors/kafka/handle.cc", '#include <string>\n#include "connectors/kafka/handle.h"\n',
                             "connectors/kafka/handle.cc:1: the first include is connectors/kafka/handle.h"),
    "no header of its own": ("engine/base/time.cc", "\n", "engine/base/time.cc:1: the first include is engine/base/time.h"),
    "an unknown folder": ("misc/bad.cc", "\n", "misc/bad.cc:1: this folder is not on the staircase"),
}


def run(files):
    with tempfile.TemporaryDirectory() as root:
        for name, text in files.items():
            path = Path(root, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return subprocess.run([sys.executable, LAYERS_TEST, root], capture_output=True, text=True, check=False)


class LayersSelftest(unittest.TestCase):
    def test_a_clean_tree_passes(self):
        result = run(CLEAN)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_each_planted_violation_is_reported_at_its_line(self):
        for what, (name, text, expected) in PLANTED.items():
            with self.subTest(what):
                result = run({**CLEAN, name: text})
                self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
                lines = result.stdout.splitlines()
                self.assertEqual(len(lines), 1, result.stdout)
                self.assertTrue(lines[0].startswith(expected), result.stdout)


if __name__ == "__main__":
    unittest.main()
