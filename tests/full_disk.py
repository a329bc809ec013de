"""A disk of any size for one process: a memory file system in a mount namespace of its own."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_MS_REMOUNT, _MS_REC, _MS_PRIVATE = 0x20, 0x4000, 0x40000


def enter_namespace() -> None:
    """Lets this process, which must have one thread, mount what no other process sees.

    Raises: OSError where the system does not allow it.
    """
    user, group = os.geteuid(), os.getegid()
    is_root = user == 0
    _call("unshare", _CLONE_NEWNS if is_root else _CLONE_NEWNS | _CLONE_NEWUSER)
    if not is_root:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    _call("mount", b"none", b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None)


def mount(folder: Path, n_bytes: int) -> None:
    """Mounts an empty memory file system of that size on a folder."""
    options = f"size={n_bytes}".encode()
    _call("mount", b"tmpfs", bytes(folder), b"tmpfs", ctypes.c_ulong(0), options)


def resize(folder: Path, n_bytes: int) -> None:
    """Gives a mounted memory file system another size."""
    options = f"size={n_bytes}".encode()
    _call("mount", b"tmpfs", bytes(folder), b"tmpfs", ctypes.c_ulong(_MS_REMOUNT), options)


def unmount(folder: Path) -> None:
    """Takes the file system away, with all that is in it."""
    _call("umount", bytes(folder))


def used(folder: Path) -> int:
    """Bytes that the files on the file system of a folder take, in whole blocks."""
    state = os.statvfs(folder)
    return (state.f_blocks - state.f_bfree) * state.f_frsize


def _call(name: str, *arguments: object) -> None:
    function = getattr(ctypes.CDLL(None, use_errno=True), name)
    if function(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
