// Package digest is the SHA-256 of contents, in hex.
package digest

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
)

// Of reads all of r and says how many bytes that were.
func Of(r io.Reader) (sum string, size int64, err error) {
	h := sha256.New()
	size, err = io.Copy(h, r)
	return hex.EncodeToString(h.Sum(nil)), size, err
}

// File is Of a file.
func File(path string) (sum string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum, _, err = Of(f)
	return sum, err
}
