#!/usr/bin/python3 -IS
# SPDX-License-Identifier: GPL-2.0
"""
usage: node-run NODE COMMAND [ARG...]
       node-run --serve

Runs COMMAND as root on NODE of a cluster of VMs, in the same directory if NODE
has it too, with nothing to read, and ends with its status; 255 if NODE cannot
be reached or is gone. --serve is what answers there.

The request is the directory and the arguments, the answer is output and status:
each a frame of one byte, what it is, and the length of what follows.
"""
import errno
import os
import selectors
import signal
import socket
import struct
import sys

PORT = 1000
REQUEST, OUT, ERR, STATUS = range(4)
HEADER = struct.Struct("!BI")


def send(conn, kind, data):
    conn.sendall(HEADER.pack(kind, len(data)) + data)


def receive(conn):
    """The next frame; None at the end of the connection."""
    def exactly(size):
        data = b""
        while len(data) < size:
            more = conn.recv(size - len(data))
            if not more:
                raise EOFError
            data += more
        return data
    kind, size = HEADER.unpack(exactly(HEADER.size))
    return kind, exactly(size)


def child(directory, argv, out, err):
    os.setsid()
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    try:
        os.chdir(directory)
    except OSError:
        os.chdir("/")
    # Python ignores them, programs should not.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    try:
        os.execvp(argv[0], argv)
    except OSError as e:
        os.write(2, b"node-run: %s: %s\n" % (argv[0], os.strerror(e.errno).encode()))
        os._exit(127 if isinstance(e, FileNotFoundError) else 126)


def answer(conn):
    """Run what is asked for; when whoever asked is gone, so is that."""
    _, request = receive(conn)
    directory, *argv = request.split(b"\0")
    (out, out_end), (err, err_end) = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        child(directory, argv, out_end, err_end)
    os.close(out_end)
    os.close(err_end)
    events = selectors.DefaultSelector()
    events.register(out, selectors.EVENT_READ, OUT)
    events.register(err, selectors.EVENT_READ, ERR)
    events.register(conn, selectors.EVENT_READ, REQUEST)
    # Not the end of the output counts: a daemon that was started keeps that.
    events.register(os.pidfd_open(pid), selectors.EVENT_READ, STATUS)
    ended = False
    while not ended:
        for key, _ in events.select():
            if key.data == REQUEST:
                try:
                    os.killpg(pid, signal.SIGKILL)
                except ProcessLookupError:      # it has just begun
                    os.kill(pid, signal.SIGKILL)
                return
            if key.data == STATUS:
                ended = True
                continue
            data = os.read(key.fd, 65536)
            if data:
                send(conn, key.data, data)
            else:
                events.unregister(key.fd)
    for fd, kind in (out, OUT), (err, ERR):
        os.set_blocking(fd, False)
        try:
            while data := os.read(fd, 65536):
                send(conn, kind, data)
        except BlockingIOError:
            pass
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    send(conn, STATUS, b"%d" % (status if status >= 0 else 128 - status))


def serve():
    listener = socket.create_server(("", PORT), backlog=20)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        conn, (_, port) = listener.accept()
        # Only root has such a port.
        if port < 1024 and os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            try:
                answer(conn)
            except (EOFError, OSError):
                pass
            os._exit(0)
        conn.close()


def connect(node):
    for port in range(1023, 600, -1):
        conn = socket.socket()
        # A node that is switched off says nothing, not even goodbye.
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 3)
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 3)
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 5)
        conn.settimeout(10)
        try:
            conn.bind(("", port))
            conn.connect((node, PORT))
            conn.settimeout(None)
            return conn
        except OSError as e:
            conn.close()
            if e.errno not in (errno.EADDRINUSE, errno.EADDRNOTAVAIL):
                raise
    raise OSError(errno.EADDRINUSE, "all ports are in use")


def ask(node, argv):
    try:
        conn = connect(node)
        send(conn, REQUEST, b"\0".join([os.getcwdb()] + [os.fsencode(a) for a in argv]))
        while True:
            kind, data = receive(conn)
            if kind == STATUS:
                return int(data)
            while data:
                data = data[os.write(1 if kind == OUT else 2, data):]
    except (EOFError, OSError) as e:
        print("node-run: %s: %s" % (node, getattr(e, "strerror", "connection lost") or e), file=sys.stderr)
        return 255


if sys.argv[1:] == ["--serve"]:
    serve()
elif len(sys.argv) < 3 or sys.argv[1].startswith("-"):
    sys.exit(__doc__.strip())
else:
    sys.exit(ask(sys.argv[1], sys.argv[2:]))
