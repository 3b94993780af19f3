"""The file log: a directory is a topic, partition-P/<first offset, 20 digits>.jsonl its records.

One record a line; the offset is the line number since the partition's first file. A last line
without its newline is not yet a record.
"""

import os
import re

_PARTITION = re.compile(r"partition-(\d+)$")
_FILE = re.compile(r"(\d{20})\.jsonl$")


class FileLogError(Exception):
    """The directory is not a file log; the text says where and why."""


def partition_dirs(topic_dir):
    """[(partition number, path)] in partition order; raises when there is none."""
    found = []
    if os.path.isdir(topic_dir):
        for name in os.listdir(topic_dir):
            match = _PARTITION.match(name)
            if match and os.path.isdir(os.path.join(topic_dir, name)):
                found.append((int(match.group(1)), os.path.join(topic_dir, name)))
    if not found:
        raise FileLogError(f"no partition-P directory in {topic_dir}")
    return sorted(found)


def read_partition(path):
    """Yields (offset, line without its newline) of one partition, files in name order."""
    offset = 0
    for name in sorted(os.listdir(path)):
        match = _FILE.match(name)
        if not match:
            continue
        file_path = os.path.join(path, name)
        if int(match.group(1)) != offset:
            raise FileLogError(f"{file_path} should begin at offset {offset}: a file is missing, "
                               "doubled or cut short")
        with open(file_path, "rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                yield offset, line[:-1]
                offset += 1


class PartitionWriter:
    """Appends lines to one partition, a new file every `records_per_file` records."""

    def __init__(self, topic_dir, partition, records_per_file=20_000):
        self._dir = os.path.join(topic_dir, f"partition-{partition}")
        os.makedirs(self._dir, exist_ok=True)
        self._records_per_file = records_per_file
        self._offset = 0
        self._file = None
        self._torn = b""  # what is missing of a line begun by append_torn

    def append(self, lines):
        self._write(self._torn)
        self._torn = b""
        at = 0
        while at < len(lines):
            if self._file is None or self._offset % self._records_per_file == 0:
                self.close()
                name = f"{self._offset:020d}.jsonl"
                self._file = open(os.path.join(self._dir, name), "wb")
            room = self._records_per_file - self._offset % self._records_per_file
            piece = lines[at:at + room]
            self._write(b"\n".join(piece) + b"\n")
            self._offset += len(piece)
            at += len(piece)
        if self._file is not None:
            self._file.flush()

    def append_torn(self, line):
        """Appends half a line, as a slow writer does; the next call completes it."""
        if self._offset % self._records_per_file == 0:
            self.append([line])
            return
        cut = len(line) // 2
        self._write(line[:cut])
        self._torn = line[cut:] + b"\n"
        self._offset += 1
        self._file.flush()

    def _write(self, data):
        if data:
            self._file.write(data)

    def close(self):
        if self._file is not None:
            self._write(self._torn)
            self._torn = b""
            self._file.close()
            self._file = None
