package ssh

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // the format's own
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"github.com/ainur-faas/ainur/internal/atomicfile"
)

// learn adds the key of a host to a known_hosts file, whole or not at all, hashed
// where the file has hashed names. Others may do the same at the same time. What is
// no file keeps nothing.
func learn(file, name string, key ssh.PublicKey) (kept bool, err error) {
	if target, err := filepath.EvalSymlinks(file); err == nil {
		file = target // a link stays one
	}
	if info, err := os.Stat(file); err == nil && !info.Mode().IsRegular() {
		return false, nil // as /dev/null
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return false, err
	}
	lock, err := os.Open(filepath.Dir(file)) // the file itself is replaced
	if err != nil {
		return false, err
	}
	defer lock.Close() // gives the lock back
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return false, err
	}
	content, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if len(content) > 0 && content[len(content)-1] != '\n' {
		content = append(content, '\n')
	}
	if strings.Contains(string(content), "|1|") {
		if name, err = hash(name); err != nil {
			return false, err
		}
	}
	content = append(content, name+" "+string(ssh.MarshalAuthorizedKey(key))...)
	err = atomicfile.Write(file, 0o600, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
	return err == nil, err
}

// hash is a name as known_hosts files hide it.
func hash(name string) (string, error) {
	salt := make([]byte, sha1.Size)
	if _, err := rand.Read(salt); err != nil {
		return "", err
	}
	mac := hmac.New(sha1.New, salt)
	mac.Write([]byte(name))
	return "|1|" + base64.StdEncoding.EncodeToString(salt) + "|" + base64.StdEncoding.EncodeToString(mac.Sum(nil)), nil
}
