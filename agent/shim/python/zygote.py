"""Forks sandboxes from an interpreter that has imported the user's code.

It runs as a user without rights, in a user namespace of its own, in which it has
one capability, by which it makes the namespaces of its children and mounts in them;
a filter of system calls lets it do nothing else with it. Over the socket 3 the agent sends one
packet "F" for each sandbox, or "P" for one that waits until it is bound, with descriptors: standard output and error, the
socket, then the files of the cgroups to join. The answer is an empty packet with
a descriptor of the process, or a text that says what went wrong. For a packet
"W" with such a descriptor it answers how the process has ended: si_code and
si_status.
"""
import base64
import ctypes
import gc
import os
import socket
import struct
import sys

sys.path.insert(1, os.path.dirname(os.path.abspath(__file__)))
import shim

SYS_CLONE = {"x86_64": 56, "aarch64": 220}[os.uname().machine]
NOSUID, NODEV, NOEXEC, RDONLY = 2, 4, 8, 1
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
SIGCHLD = 17
MAX_FDS = 16

libc = ctypes.PyDLL(None, use_errno=True)  # which keeps the interpreter's lock over a fork


def check(result, what):
    if result < 0:
        errno = ctypes.get_errno()
        raise OSError(errno, "%s: %s" % (what, os.strerror(errno)))
    return result


def mount(kind, target, flags, data=None):
    check(libc.mount(kind, target, kind, ctypes.c_ulong(flags), data), "mount " + target.decode())


class Program(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def isolate(groups, size, program):
    """Gives the process, a fresh fork, what is its own, and takes all rights from it."""
    for fd in groups:
        os.write(fd, b"0")
        os.close(fd)
    mount(b"tmpfs", b"/tmp", NOSUID | NODEV, size)
    mount(b"tmpfs", b"/dev/shm", NOSUID | NODEV | NOEXEC, size)
    mount(b"proc", b"/proc", NOSUID | NODEV | NOEXEC | RDONLY)
    header = struct.pack("=Ii", 0x20080522, 0)
    check(libc.capset(header, bytes(24)), "drop capabilities")
    check(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0), "filter system calls")


def fork(flags):
    """Forks as os.fork does, with new namespaces."""
    ctypes.pythonapi.PyOS_BeforeFork()
    pid = libc.syscall(SYS_CLONE, ctypes.c_ulong(flags | SIGCHLD), 0, 0, 0, 0)
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
    else:
        ctypes.pythonapi.PyOS_AfterFork_Parent()
    return check(pid, "clone")


def main():
    control = socket.socket(fileno=int(os.environ.pop("AINUR_FD")))
    control.set_inheritable(False)
    flags = int(os.environ.pop("AINUR_NAMESPACES"))
    code = base64.b64decode(os.environ.pop("AINUR_FILTER"))
    program = Program(len(code) // 8, code)
    size = os.environ.pop("AINUR_TMP").encode()
    try:
        function = shim.load(os.environ["AINUR_CODE"])
    except BaseException:
        control.send(b"E" + shim.trace())
        return 1
    others = len(os.listdir("/proc/self/task")) + len([name for name in os.listdir("/proc") if name.isdigit()]) - 2
    if others:
        control.send(b"T%d threads or processes run beside it" % others)
        return 1
    gc.collect()
    gc.freeze()
    control.send(b"R")
    while True:
        packet, fds, _, _ = socket.recv_fds(control, 1, MAX_FDS)
        if not packet:
            return 0
        if packet == b"W":
            end = os.waitid(os.P_PIDFD, fds[0], os.WEXITED)
            control.send(b"%d %d" % (end.si_code, end.si_status))
            os.close(fds[0])
            continue
        try:
            pid = fork(flags)
        except OSError as e:
            control.send(str(e).encode())
            pid = -1
        if pid == 0:
            break
        if pid > 0:
            handle = os.pidfd_open(pid)
            socket.send_fds(control, [b"P"], [handle])
            os.close(handle)
        for fd in fds:
            os.close(fd)
    control.close()
    out, err, link, groups = fds[0], fds[1], fds[2], fds[3:]
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.close(out)
    os.close(err)
    try:
        isolate(groups, size, program)
    except OSError as e:
        shim.send(link, shim.START_ERROR, 0, str(e).encode())
        return 1
    if packet == b"P" and not shim.wait(link):
        return 0
    return shim.serve(link, function)


shim.run(main)
