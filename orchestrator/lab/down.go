package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// Remove removes the lab in a folder, whatever there is of it, also when its making
// was cut off. A folder that is not there is fine.
func Remove(dir string) error { return (&Lab{Dir: filepath.Clean(dir)}).Down() }

// Down ends the hosts and removes all that the lab is. It may be called twice.
func (l *Lab) Down() error {
	unlock, err := lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := l.remove(); err != nil {
		return fmt.Errorf("remove lab %s: %w", l.Dir, err)
	}
	return nil
}

// remove needs to know nothing but the folder of the lab.
func (l *Lab) remove() error {
	entries, err := os.ReadDir(l.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	relays := l.stopRelays() // those of other processes would keep the switch
	var killed []victim
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		v, err := kill(l.path(e.Name()))
		if err != nil {
			return errors.Join(err, awaitEnd(killed))
		}
		if v != nil {
			killed = append(killed, *v)
		}
	}
	if err := errors.Join(relays, l.thaw(), awaitEnd(killed)); err != nil {
		return err // what runs still needs the rest
	}
	l.running.Wait()
	if err := errors.Join(l.unplug(), l.removeCgroups(), unmount(l.Dir)); err != nil {
		return err
	}
	if err := os.Remove(l.Dir); errors.Is(err, unix.ENOTEMPTY) {
		return errors.New("the folder has files that are no lab's")
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if filepath.Dir(l.Dir) == Root {
		_ = os.Remove(Root) // it stays when another lab is in it
	}
	return nil
}

// unmount takes away what makeDir has mounted on dir.
func unmount(dir string) error {
	ours, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		return m.Mountpoint != dir || m.Source != source, false
	})
	if err != nil {
		return fmt.Errorf("list mounts: %w", err)
	}
	for range ours {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", dir, err)
		}
	}
	return nil
}
