package oci

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// hold keeps what is in the store from being pruned: by this store until release is called,
// and by other processes until this one ends. Who adds an image releases; who has one unpacked
// may run sandboxes on its layers, and does not.
func (s *Store) hold() (release func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.shared {
		if err := s.openLock(); err != nil {
			return nil, err
		}
		if err := unix.Flock(int(s.lock.Fd()), unix.LOCK_SH); err != nil {
			return nil, fmt.Errorf("lock of the images in %s: %w", s.dir, err)
		}
		s.shared = true
	}
	s.held++
	return func() {
		s.mu.Lock()
		s.held--
		s.mu.Unlock()
	}, nil
}

// Close lets what is in the store be pruned. Nothing may be using the store.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lock == nil {
		return nil
	}
	err := s.lock.Close()
	s.lock, s.shared, s.held = nil, false, 0
	return err
}

// alone calls prune while nobody holds the store, or returns ErrInUse at once.
func (s *Store) alone(prune func() error) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held > 0 {
		return ErrInUse
	}
	if err := s.openLock(); err != nil {
		return err
	}
	fd := int(s.lock.Fd())
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrInUse
		}
		if s.shared { // the kernel may have let go of it to convert it
			err = errors.Join(err, unix.Flock(fd, unix.LOCK_SH))
		}
		return err
	}
	after := unix.LOCK_UN
	if s.shared {
		after = unix.LOCK_SH
	}
	return errors.Join(prune(), unix.Flock(fd, after))
}

// openLock opens the file of the lock, which ends with this process.
func (s *Store) openLock() error {
	if s.lock != nil {
		return nil
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(s.dir, "lock"), os.O_RDWR|os.O_CREATE, 0o644)
	s.lock = f
	return err
}
