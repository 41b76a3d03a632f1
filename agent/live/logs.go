package live

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// maxLog bounds what is kept of one stream of one sandbox, in bytes.
const maxLog = 256 << 10

// logs keeps what sandboxes print, a file for each stream that printed anything.
type logs struct {
	dir   string
	mu    sync.Mutex
	files map[string]*logFile
}

type logFile struct {
	path    string
	file    *os.File
	written int
	dropped int
	err     error
}

func newLogs(dir string) (*logs, error) {
	return &logs{dir: dir, files: map[string]*logFile{}}, os.MkdirAll(dir, 0o755)
}

// open returns the two writers of the sandbox called name.
func (l *logs) open(name string) (stdout, stderr func([]byte)) {
	return l.writer(name + ".stdout"), l.writer(name + ".stderr")
}

func (l *logs) writer(name string) func([]byte) {
	return func(p []byte) {
		l.mu.Lock()
		defer l.mu.Unlock()
		f := l.files[name]
		if f == nil {
			f = &logFile{path: filepath.Join(l.dir, name)}
			l.files[name] = f
			f.file, f.err = os.Create(f.path)
		}
		f.write(p)
	}
}

func (f *logFile) write(p []byte) {
	keep := min(len(p), maxLog-f.written)
	f.dropped += len(p) - keep
	if f.err == nil && keep > 0 {
		_, f.err = f.file.Write(p[:keep])
	}
	f.written += keep
}

func (f *logFile) close() error {
	if f.file == nil {
		return f.err
	}
	if f.dropped > 0 {
		_, err := fmt.Fprintf(f.file, "\n[ainur: %d more bytes were printed and are not kept]\n", f.dropped)
		f.err = errors.Join(f.err, err)
	}
	return errors.Join(f.err, f.file.Close())
}

// close ends the log of one sandbox. What it prints later is dropped with it.
func (l *logs) close(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, stream := range []string{name + ".stdout", name + ".stderr"} {
		if f := l.files[stream]; f != nil {
			_ = f.close() // its contents are a help to the reader, not a result
			delete(l.files, stream)
		}
	}
}

func (l *logs) closeAll() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for _, f := range l.files {
		errs = append(errs, f.close())
	}
	clear(l.files)
	return errors.Join(errs...)
}

// fileName makes a name fit for one path element. Different names stay different.
func fileName(name string) string {
	var b strings.Builder
	for _, r := range []byte(name) {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_':
			b.WriteByte(r)
		default:
			fmt.Fprintf(&b, ".%02x", r)
		}
	}
	return b.String()
}
