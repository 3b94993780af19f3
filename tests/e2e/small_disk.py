"""A small file system of its own, to be filled and made read-only without harm to others."""

import subprocess


def fill_disk(folder):
    """Writes a file that takes all the room left on the folder's disk; returns it."""
    ballast = folder / "ballast"
    with open(ballast, "wb") as file:
        try:
            while True:
                file.write(b"\0" * 65536)
                file.flush()
        except OSError:
            pass
    return ballast


def mount_small(folder, megabytes):
    """A file system of its own, so that filling it harms nobody. Needs root, as CI has."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tidemill-test", folder],
                   check=True)


def unmount(folder):
    subprocess.run(["umount", "--lazy", folder], check=True)
