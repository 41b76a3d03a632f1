"""Stands in for the server in an image of Ilúvatar: it speaks both protocols.

With an argument it is the user's code main.py of the folder that is called:
"unix" serves the socket at __IL_SOCKET, anything else HTTP on __IL_HOST:__IL_PORT.
"""
import http.server
import json
import os
import socket
import struct
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
calls = 0


def load():
    try:
        import main
        return main.main, None
    except BaseException:
        return None, traceback.format_exc()


def invoke(function, failed, raw):
    global calls
    calls += 1
    stamp = lambda: time.strftime("%Y-%m-%d %H:%M:%S") + ":000000+"
    reply, began, start = {"was_cold": calls == 1, "start": stamp()}, time.time(), 0
    try:
        args = json.loads(raw)
    except ValueError as e:
        return 500, {"platform_error": str(e), "was_cold": calls == 1}
    try:
        if failed:
            raise ImportError(failed)
        reply["user_result"], status = json.dumps(function(args)), 200
    except Exception as e:
        reply["user_error"], status = json.dumps(traceback.format_exc()), 422
    reply["duration_sec"], reply["end"] = time.time() - began, stamp()
    return status, reply


def serve_unix(path, function, failed):
    if os.path.exists(path):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX)
    time.sleep(0.05)  # the marker comes first
    listener.bind(path)
    listener.listen()
    while True:
        conn, _ = listener.accept()
        with conn, conn.makefile("rb") as f:
            while header := f.read(16):
                command, size = struct.unpack("=QQ", header)
                raw = f.read(size)
                if command == 0:
                    answer = {"user_error": failed} if failed else {"Status": "OK"}
                else:
                    _, answer = invoke(function, failed, raw)
                b = json.dumps(answer).encode()
                conn.sendall(struct.pack("=Q", len(b)) + b)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body):
        b = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(b)))
        self.end_headers()
        self.wfile.write(b)

    def do_GET(self):
        if failed:
            self.answer(500, failed.encode())
        else:
            self.answer(200, {"Status": "OK"})

    def do_POST(self):
        self.answer(*invoke(function, failed, self.rfile.read(int(self.headers["Content-Length"]))))

    def log_message(self, *args):
        pass


if __name__ == "__main__":
    marker = "MGK_GUN_READY_KMG"
    if sys.argv[1:] == ["unix"]:
        print(marker, file=sys.stderr, flush=True)  # before user code is imported, as gunicorn does
        function, failed = load()
        serve_unix(os.environ["__IL_SOCKET"], function, failed)
    else:
        server = http.server.HTTPServer((os.environ["__IL_HOST"], int(os.environ["__IL_PORT"])), Handler)
        print(marker, file=sys.stderr, flush=True)
        function, failed = load()
        server.serve_forever()
