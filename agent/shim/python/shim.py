"""Runs main(args) of a folder's main.py for an ainur agent.

The protocol is that of agent/shim/wire: frames of a 16-byte header and a
payload over an inherited socket. Standard output and error stay the user's.
What is seldom needed is imported where it is: an import delays every cold start.
"""
import json
import os
import struct
import sys
import time

READY, START_ERROR, INVOKE, RESULT, USER_ERROR, WAITING, BIND = 1, 2, 3, 4, 5, 6, 7
HEADER = struct.Struct(">IB3xQ")
TIMES = struct.Struct(">qq")
MAX_DATA = 16 << 20
MAX_ERROR = 8 << 10


def connect():
    """Returns the descriptor of the socket to the agent."""
    path = os.environ.pop("AINUR_SOCKET", None)
    if path:
        import socket
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(path)
        return sock.detach()
    fd = int(os.environ.pop("AINUR_FD"))
    os.set_inheritable(fd, False)
    return fd


def send(fd, kind, ident, payload):
    frame = memoryview(HEADER.pack(len(payload), kind, ident) + payload)
    while frame:
        frame = frame[os.write(fd, frame):]


def receive(fd, buffer, size):
    """Reads on until buffer has size bytes; False at the end of the stream."""
    while len(buffer) < size:
        piece = os.read(fd, max(65536, size - len(buffer)))
        if not piece:
            return False
        buffer += piece
    return True


def wait(fd):
    """Waits, as a stem cell, for the function and sets its environment; False when none comes."""
    send(fd, WAITING, 0, b"")
    buffer = bytearray()
    if not receive(fd, buffer, HEADER.size):
        return False
    size, kind, _ = HEADER.unpack_from(buffer)
    if kind != BIND or not receive(fd, buffer, HEADER.size + size):
        return False
    os.environ.update(json.loads(bytes(buffer[HEADER.size:])))
    return True


def load(folder):
    """Imports main.py of folder and returns its main."""
    sys.path[0] = folder  # it was the folder of this file
    sys.argv = [os.path.join(folder, "main.py")]
    os.chdir(folder)
    import main as module
    if not callable(getattr(module, "main", None)):
        raise AttributeError("main.py has no function main(args)")
    return module.main


def encode(result):
    try:
        data = json.dumps(result, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as e:
        raise TypeError("what main returned is not JSON: %s" % e) from None
    if len(data) > MAX_DATA:
        raise ValueError("what main returned has %d bytes, over 16 MiB" % len(data))
    return data


def call(function, raw):
    """Runs function and returns the type and the payload of the answer."""
    start, end = time.monotonic_ns(), None
    try:
        args = json.loads(raw)
        start = time.monotonic_ns()
        result = function(args)
        end = time.monotonic_ns()
        return RESULT, TIMES.pack(start, end) + encode(result)
    except Exception:
        return USER_ERROR, TIMES.pack(start, end or time.monotonic_ns()) + trace()


def trace():
    """Returns the current exception with its traceback, from user code on."""
    kind, value, tb = sys.exc_info()
    while tb and tb.tb_frame.f_code.co_filename.startswith((__file__, "<frozen importlib")):
        tb = tb.tb_next
    try:
        import traceback
        lines = traceback.format_exception(kind, value, tb)
    except (ImportError, AttributeError):  # user code has a module of the name of one that it needs
        lines = [kind.__name__, ": ", str(value)]
    text = "".join(lines).strip().encode(errors="replace")
    if len(text) > MAX_ERROR:
        text = b"...\n" + text[4 - MAX_ERROR:].decode(errors="ignore").encode()
    return text


def serve(fd, function):
    """Answers invocations until the agent closes the stream."""
    send(fd, READY, 0, b"")
    buffer = bytearray()
    while receive(fd, buffer, HEADER.size):
        size, kind, ident = HEADER.unpack_from(buffer)
        if kind != INVOKE or not receive(fd, buffer, HEADER.size + size):
            return 1
        raw = bytes(buffer[HEADER.size:HEADER.size + size])
        del buffer[:HEADER.size + size]
        kind, payload = call(function, raw)
        send(fd, kind, ident, payload)
    return 0


def main():
    fd = connect()
    if os.environ.pop("AINUR_CELL", None) and not wait(fd):
        return 0
    try:
        function = load(os.environ["AINUR_CODE"])
    except BaseException:
        send(fd, START_ERROR, 0, trace())
        return 1
    return serve(fd, function)


def run(body):
    """Ends the process with the status that body returns or raises."""
    try:
        status = body()
    except BaseException as e:  # user code has called sys.exit, or was interrupted
        os.write(2, trace() + b"\n")
        status = getattr(e, "code", 1)  # of sys.exit: nothing, a number or what it says
        status = status if isinstance(status, int) else int(status is not None)
    os._exit(status & 0xFF)  # sys.exit would wait for the threads of user code


if __name__ == "__main__":
    run(main)
