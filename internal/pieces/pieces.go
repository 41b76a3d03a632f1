// Package pieces carries content in messages of a stream.
package pieces

import "io"

// Size is the most that is in one message, in bytes.
const Size = 1 << 20

// Reader reads the content of messages.
type Reader struct {
	Next []byte                 // of the message that has come
	Recv func() ([]byte, error) // the next
}

func (r *Reader) Read(b []byte) (int, error) {
	for len(r.Next) == 0 {
		var err error
		if r.Next, err = r.Recv(); err != nil {
			return 0, err
		}
	}
	n := copy(b, r.Next)
	r.Next = r.Next[n:]
	return n, nil
}

// Copy sends all that r has in messages as large as may be.
func Copy(w Writer, r io.Reader) error {
	// The wrappers leave nothing but Read and Write, so that the buffer is what is sent.
	_, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, make([]byte, Size))
	return err
}

// Writer sends content in messages. It must not keep what it is given.
type Writer func([]byte) error

func (w Writer) Write(b []byte) (n int, err error) {
	for n < len(b) {
		piece := b[n:min(len(b), n+Size)]
		if err := w(piece); err != nil {
			return n, err
		}
		n += len(piece)
	}
	return n, nil
}
