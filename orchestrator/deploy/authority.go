package deploy

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ainur-faas/ainur/internal/mtls"
	"github.com/ainur-faas/ainur/orchestrator/facts"
)

// The files of an authority, in the folder of its deployment.
const (
	authorityCertificate = "ca.pem"
	authorityKey         = "ca-key.pem"
)

// authority is the one of a deployment that is on this machine, nil where there is
// none, or it ends soon.
func authority(dir string, now time.Time) (*mtls.Authority, error) {
	certificate, err := os.ReadFile(filepath.Join(dir, authorityCertificate))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	key, err := os.ReadFile(filepath.Join(dir, authorityKey))
	if err != nil {
		return nil, err
	}
	a, err := mtls.ParseAuthority(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("read the authority in %s: %w; remove it for a new one", dir, err)
	}
	if mtls.Check(certificate, certificate, nil, now) != nil {
		return nil, nil
	}
	return a, nil
}

// makeAuthority is the one of a deployment, a new one if need be. Its certificate is
// the last file that is written.
func makeAuthority(dir, deployment string, now time.Time) (*mtls.Authority, error) {
	a, err := authority(dir, now)
	if a != nil || err != nil {
		return a, err
	}
	a, key, err := mtls.NewAuthority(deployment, now)
	if err != nil {
		return nil, err
	}
	certificate := filepath.Join(dir, authorityCertificate)
	if err := os.Remove(certificate); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, authorityKey), key, 0o600); err != nil {
		return nil, err
	}
	return a, os.WriteFile(certificate, a.Certificate, 0o600)
}

// lockHere keeps others on this machine from the deployment.
func lockHere(dir, owner string, wait time.Duration) (unlock func() error, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", f.Name(), err), f.Close())
		}
		if time.Since(began) >= wait {
			holder, _ := os.ReadFile(f.Name()) // only to be told
			return nil, errors.Join(fmt.Errorf("%w on this machine: by %s", facts.ErrLocked, strings.TrimSpace(string(holder))), f.Close())
		}
	}
	if err := errors.Join(f.Truncate(0), write(f, owner+"\n")); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f.Close, nil
}

func write(f *os.File, text string) error {
	_, err := f.WriteString(text)
	return err
}
