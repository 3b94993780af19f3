"""A small file system of its own, to be filled and made read-only without harm to others."""

import subprocess
import threading
from contextlib import contextmanager


@contextmanager
def kept_full(folder):
    """No room on the folder's disk while inside; what the job frees is taken at once."""
    ballast = folder / "ballast"
    stop = threading.Event()

    def fill():
        with open(ballast, "ab", buffering=0) as file:
            size = 1 << 20
            while not stop.is_set():
                try:
                    file.write(b"\0" * size)
                except OSError:
                    size = max(size // 2, 4096)
                    stop.wait(0.001)

    filler = threading.Thread(target=fill)
    filler.start()
    try:
        yield
    finally:
        stop.set()
        filler.join()
        ballast.unlink()


def mount_small(folder, megabytes):
    """A file system of its own, so that filling it harms nobody. Needs root, as CI has."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tidemill-test", folder],
                   check=True)


def unmount(folder):
    subprocess.run(["umount", "--lazy", folder], check=True)
