"""What disks refuse, for one process: too little room, a read-only disk, a right that it lacks.

A disk is a memory file system in a mount namespace of the process's own.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_MNT_DETACH = 2
_MS_RDONLY, _MS_REMOUNT, _MS_REC, _MS_PRIVATE = 0x1, 0x20, 0x4000, 0x40000
_CAPABILITY_VERSION_1, _CAP_DAC_OVERRIDE = 0x19980330, 1


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


def make_read_only(folder: Path) -> None:
    """Makes a mounted file system one that can only be read."""
    flags = ctypes.c_ulong(_MS_REMOUNT | _MS_RDONLY)
    _call("mount", b"tmpfs", bytes(folder), b"tmpfs", flags, None)


def obey_permissions() -> None:
    """Takes from root, in this process, the right to write where permissions forbid it."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_1, 0)
    sets = (ctypes.c_uint32 * 3)()  # effective, permitted, inheritable
    _call("capget", header, sets)
    sets[0] &= ~(1 << _CAP_DAC_OVERRIDE) & 0xFFFFFFFF
    _call("capset", header, sets)


def unmount(folder: Path) -> None:
    """Takes the file system away, with all that is in it, also where a file is still open."""
    _call("umount2", bytes(folder), _MNT_DETACH)


def used(folder: Path) -> int:
    """Bytes that the files on the file system of a folder take, in whole blocks."""
    state = os.statvfs(folder)
    return (state.f_blocks - state.f_bfree) * state.f_frsize


def _call(name: str, *arguments: object) -> None:
    function = getattr(ctypes.CDLL(None, use_errno=True), name)
    if function(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
