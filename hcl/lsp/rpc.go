package lsp

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/textproto"
	"strconv"
	"sync"
)

// maxMessage bounds a message of the client.
const maxMessage = 64 << 20 // bytes

// message is a request, a notification (no ID) or a response.
type message struct {
	Version string           `json:"jsonrpc"`
	ID      *json.RawMessage `json:"id,omitempty"`
	Method  string           `json:"method,omitempty"`
	Params  json.RawMessage  `json:"params,omitempty"`
	Result  any              `json:"result,omitempty"`
	Error   *rpcError        `json:"error,omitempty"`
}

// rpcError is why a request has no result.
type rpcError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func (e *rpcError) Error() string { return e.Message }

// Codes of errors, of JSON-RPC and of the protocol.
const (
	parseError     = -32700
	invalidRequest = -32600
	methodNotFound = -32601
	invalidParams  = -32602
	notInitialized = -32002
	requestFailed  = -32803
)

// connection reads and writes framed messages. Writing is safe from several goroutines.
type connection struct {
	in  *bufio.Reader
	mu  sync.Mutex // of out
	out io.Writer
}

// read returns the content of the next message; io.EOF at the end of the input.
func (c *connection) read() ([]byte, error) {
	header, err := textproto.NewReader(bufio.NewReader(&lines{in: c.in, left: 1 << 14})).ReadMIMEHeader()
	if err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			return nil, io.EOF
		}
		return nil, fmt.Errorf("header: %w", err)
	}
	n, err := strconv.Atoi(header.Get("Content-Length"))
	if err != nil || n < 0 || n > maxMessage {
		return nil, fmt.Errorf("Content-Length is %q, want 0 to %d", header.Get("Content-Length"), maxMessage)
	}
	content := make([]byte, 0, min(n, 1<<16)) // not all at once: the length may be a lie
	for len(content) < n {
		part := make([]byte, min(n-len(content), 1<<20))
		if _, err := io.ReadFull(c.in, part); err != nil {
			return nil, io.EOF
		}
		content = append(content, part...)
	}
	return content, nil
}

// lines gives the lines of a header, up to and with the empty one, and no byte more.
type lines struct {
	in   *bufio.Reader
	left int // bytes that a header may still have
	line []byte
	done bool
}

func (l *lines) Read(p []byte) (int, error) {
	if len(l.line) == 0 {
		if l.done {
			return 0, io.EOF
		}
		line, err := l.in.ReadSlice('\n')
		if l.left -= len(line); err != nil && !errors.Is(err, bufio.ErrBufferFull) || l.left < 0 {
			return 0, io.ErrUnexpectedEOF
		}
		l.line = line
		l.done = len(line) <= 2
	}
	n := copy(p, l.line)
	l.line = l.line[n:]
	return n, nil
}

func (c *connection) write(m message) error {
	m.Version = "2.0"
	content, err := json.Marshal(m)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err = fmt.Fprintf(c.out, "Content-Length: %d\r\n\r\n%s", len(content), content)
	return err
}
