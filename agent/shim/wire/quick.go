package wire

import (
	"io"
	"os"
	"syscall"
	"unsafe"
)

// Quick reads and writes a socket that does not block, by system calls of which Go's scheduler
// is not told: it has nothing to do about one that returns at once, yet wakes a thread of
// its own for the first of a process that was idle, which costs more than the call. One goroutine
// may read while another writes.
type Quick struct {
	raw     syscall.RawConn
	in, out transfer
	// For raw, made once so that no call allocates them.
	readable, writable, attempt func(fd uintptr) bool
}

// transfer is a system call and what came of it.
type transfer struct {
	data  []byte
	n     int
	errno syscall.Errno
}

// do makes the call and reports whether it was possible at once.
func (t *transfer) do(call, fd uintptr) bool {
	for {
		n, _, errno := syscall.RawSyscall(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(t.data))), uintptr(len(t.data)))
		switch errno {
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			t.n, t.errno = int(n), errno
			return true
		}
	}
}

// NewQuick returns a Quick on conn, which closes it and has the deadlines.
func NewQuick(conn syscall.Conn) (*Quick, error) {
	raw, err := conn.SyscallConn()
	s := &Quick{raw: raw}
	s.readable = func(fd uintptr) bool { return s.in.do(syscall.SYS_READ, fd) }
	s.writable = func(fd uintptr) bool { return s.out.do(syscall.SYS_WRITE, fd) }
	s.attempt = func(fd uintptr) bool {
		s.writable(fd)
		return true
	}
	return s, err
}

// Read is that of io.Reader.
func (s *Quick) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	s.in.data = b
	err := s.raw.Read(s.readable)
	s.in.data = nil
	switch {
	case err != nil:
		return 0, err
	case s.in.errno != 0:
		return 0, os.NewSyscallError("read", s.in.errno)
	case s.in.n == 0:
		return 0, io.EOF
	default:
		return s.in.n, nil
	}
}

// Write is that of io.Writer.
func (s *Quick) Write(b []byte) (written int, err error) {
	for written < len(b) && err == nil {
		s.out.data = b[written:]
		if err = s.raw.Write(s.writable); err == nil {
			written += max(s.out.n, 0)
			err = s.failed()
		}
	}
	s.out.data = nil
	return written, err
}

// TryWrite writes what the socket takes at once: it returns less than the length of b, and no
// error, where that is not all.
func (s *Quick) TryWrite(b []byte) (written int, err error) {
	s.out.data = b
	s.out.n, s.out.errno = 0, 0
	err = s.raw.Write(s.attempt)
	s.out.data = nil
	if err == nil {
		err = s.failed()
	}
	return max(s.out.n, 0), err
}

func (s *Quick) failed() error {
	if s.out.errno == 0 {
		return nil
	}
	return os.NewSyscallError("write", s.out.errno)
}
