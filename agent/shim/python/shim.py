"""Runs main(args) of a folder's main.py for an ainur agent.

The protocol is that of agent/shim/wire: frames of a 16-byte header and a
payload over an inherited socket. Standard output and error stay the user's.
"""
import importlib.util
import json
import os
import socket
import struct
import sys
import time
import traceback

READY, START_ERROR, INVOKE, RESULT, USER_ERROR = 1, 2, 3, 4, 5
HEADER = struct.Struct(">IB3xQ")
TIMES = struct.Struct(">qq")
MAX_DATA = 16 << 20
MAX_ERROR = 8 << 10


def connect():
    path = os.environ.pop("AINUR_SOCKET", None)
    if path:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.connect(path)
        return sock
    return socket.socket(fileno=int(os.environ.pop("AINUR_FD")))


def send(sock, kind, ident, payload):
    sock.sendall(HEADER.pack(len(payload), kind, ident) + payload)


def receive(sock, buffer, size):
    """Reads on until buffer has size bytes; False at the end of the stream."""
    while len(buffer) < size:
        piece = sock.recv(max(65536, size - len(buffer)))
        if not piece:
            return False
        buffer += piece
    return True


def trace():
    """The traceback of the current exception, from user code on."""
    kind, value, tb = sys.exc_info()
    while tb is not None and tb.tb_frame.f_code.co_filename in (__file__, "<frozen importlib._bootstrap>", "<frozen importlib._bootstrap_external>"):
        tb = tb.tb_next
    text = "".join(traceback.format_exception(kind, value, tb)).strip().encode(errors="replace")
    return text if len(text) <= MAX_ERROR else b"...\n" + text[4 - MAX_ERROR:]


def load(folder):
    sys.path.insert(0, folder)
    os.chdir(folder)
    spec = importlib.util.spec_from_file_location("main", os.path.join(folder, "main.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules["main"] = module
    spec.loader.exec_module(module)
    if not callable(getattr(module, "main", None)):
        raise AttributeError("main.py has no function main(args)")
    return module.main


def main():
    sock = connect()
    try:
        function = load(os.environ["AINUR_CODE"])
    except BaseException:
        send(sock, START_ERROR, 0, trace())
        return 1
    send(sock, READY, 0, b"")
    buffer = bytearray()
    while True:
        if not receive(sock, buffer, HEADER.size):
            return 0
        size, kind, ident = HEADER.unpack_from(buffer)
        if kind != INVOKE or not receive(sock, buffer, HEADER.size + size):
            return 1
        raw = bytes(buffer[HEADER.size:HEADER.size + size])
        del buffer[:HEADER.size + size]
        start = time.monotonic_ns()
        try:
            result = function(json.loads(raw))
            end = time.monotonic_ns()
            payload = json.dumps(result, allow_nan=False, separators=(",", ":")).encode()
            if len(payload) > MAX_DATA:
                raise ValueError("the result has %d bytes, over 16 MiB" % len(payload))
            send(sock, RESULT, ident, TIMES.pack(start, end) + payload)
        except Exception:
            send(sock, USER_ERROR, ident, TIMES.pack(start, time.monotonic_ns()) + trace())


sys.exit(main())
