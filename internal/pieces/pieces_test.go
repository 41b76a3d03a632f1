package pieces

import (
	"bytes"
	"io"
	"slices"
	"testing"
)

// What is written is read, in messages that are not too large, whatever their sizes.
func TestPieces(t *testing.T) {
	for _, size := range []int{0, 1, Size, 3*Size + 7} {
		content := bytes.Repeat([]byte("x"), size)
		var messages [][]byte
		w := Writer(func(b []byte) error {
			messages = append(messages, slices.Clone(b))
			return nil
		})
		if n, err := w.Write(content); n != size || err != nil {
			t.Errorf("%d of %d bytes were written, %v", n, size, err)
		}
		written := len(messages)
		if err := Copy(w, bytes.NewReader(content)); err != nil || len(messages) != 2*written {
			t.Errorf("%d bytes were copied in %d messages, written in %d, %v", size, len(messages)-written, written, err)
		}
		messages = messages[:written]
		for _, m := range messages {
			if len(m) > Size {
				t.Errorf("a message has %d bytes", len(m))
			}
		}
		messages = append([][]byte{nil}, messages...) // an empty message is not the end
		r := &Reader{Recv: func() ([]byte, error) {
			if len(messages) == 0 {
				return nil, io.EOF
			}
			next := messages[0]
			messages = messages[1:]
			return next, nil
		}}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d of %d bytes were read, %v", len(got), size, err)
		}
	}
}
