package mtls

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc/credentials"
)

// TokenFile is in the folder of daemons that are all on one host, in the place
// of certificates: who can read it is the user whose daemons they are.
const TokenFile = "token"

const tokenBytes = 32

// answerTime is how long whoever connects has to show the token.
const answerTime = 5 * time.Second

// MakeToken makes a token in dir, unless there is one, for its owner alone.
func MakeToken(dir string) error {
	path := filepath.Join(dir, TokenFile)
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".new-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	token := make([]byte, tokenBytes)
	_, _ = rand.Read(token) // never fails
	if _, err := f.Write(token); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) { // another made it
		return err
	}
	return nil
}

// token is shown once, when a connection is made, which is then in the clear.
type token [tokenBytes]byte

func readToken(path string) (token, error) {
	var t token
	text, err := os.ReadFile(path)
	if err == nil && copy(t[:], text) != len(t) {
		err = fmt.Errorf("%s has %d bytes, want %d", path, len(text), len(t))
	}
	return t, err
}

// identity is that of one who has the token.
type identity struct{ credentials.CommonAuthInfo }

func (identity) AuthType() string { return "token" }

var shown = identity{credentials.CommonAuthInfo{SecurityLevel: credentials.NoSecurity}}

func (t token) ClientHandshake(ctx context.Context, _ string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	deadline, _ := ctx.Deadline()
	if err := conn.SetWriteDeadline(deadline); err != nil {
		return nil, nil, err
	}
	if _, err := conn.Write(t[:]); err != nil {
		return nil, nil, err
	}
	return conn, shown, conn.SetWriteDeadline(time.Time{})
}

func (t token) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	if err := conn.SetReadDeadline(time.Now().Add(answerTime)); err != nil {
		return nil, nil, err
	}
	var got token
	if _, err := io.ReadFull(conn, got[:]); err != nil || subtle.ConstantTimeCompare(got[:], t[:]) != 1 {
		return nil, nil, errors.Join(errors.New("who connects does not have the token of this host's daemons"), err, conn.Close())
	}
	return conn, shown, conn.SetReadDeadline(time.Time{})
}

func (token) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "token"}
}

func (t token) Clone() credentials.TransportCredentials { return t }

// OverrideServerName does nothing: there are no names.
func (token) OverrideServerName(string) error { return nil }
