// Package collect keeps what a host tells beside the calls of a load: files,
// journals, the output of commands, packets, and counters over time.
package collect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/internal/atomicfile"
)

// Config is what to keep on a host, the file that `ainur collector` reads.
type Config struct {
	spec.Collect
	Run  string     `json:"run"`  // whose cgroups are sampled
	Most spec.Bytes `json:"most"` // that may be kept now
}

// IndexFile lists what was kept, in its folder.
const IndexFile = "index.json"

// Item is one thing that was to be kept.
type Item struct {
	What      string `json:"what"`                // such as file /etc/hostname
	File      string `json:"file,omitempty"`      // in the folder; "" where there is none
	Bytes     int64  `json:"bytes"`               // of its content, not compressed
	Truncated bool   `json:"truncated,omitempty"` // there was more than max_size
	Problem   string `json:"problem,omitempty"`   // why it is not there, or not whole
}

// Problems are what should be told of items.
func Problems(items []Item) (all []string) {
	for _, i := range items {
		switch {
		case i.Truncated:
			all = append(all, i.What+": cut off at max_size")
		case i.Problem != "":
			all = append(all, i.What+": "+i.Problem)
		}
	}
	return all
}

// ReadIndex reads the IndexFile of a folder.
func ReadIndex(dir string) (items []Item, err error) {
	text, err := os.ReadFile(filepath.Join(dir, IndexFile))
	if err == nil {
		err = json.Unmarshal(text, &items)
	}
	if err != nil {
		return nil, fmt.Errorf("read what was collected: %w", err)
	}
	return items, nil
}

// commandTimeout bounds a command that is run before or after.
const commandTimeout = time.Minute

// Run keeps what c says in dir. It calls ready when the commands before have ended
// and the rest has begun, and ends what lasts when ctx ends. What cannot be had is
// in the index; an error is of the folder.
func Run(ctx context.Context, c Config, dir string, ready func() error) error {
	k := &keeper{dir: dir, zstd: c.Compress == "zstd"}
	k.left.Store(int64(c.Most))
	began := time.Now()
	commands := func(when string) {
		for _, e := range c.Commands {
			if e.When == when {
				within, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), commandTimeout, fmt.Errorf("it took longer than %v", commandTimeout))
				k.command(within, "command "+e.Name, filepath.Join("commands", e.Name+".txt"), e.Argv)
				cancel()
			}
		}
	}
	commands("before")
	var lasting []*lasts
	for _, e := range c.Commands {
		if e.When == "during" {
			lasting = append(lasting, k.begin("command "+e.Name, filepath.Join("commands", e.Name+".txt"), e.Argv, false))
		}
	}
	if p := c.Packets; p != nil {
		argv := []string{"tcpdump", "-n", "-U", "-i", p.Interface, "-s", strconv.Itoa(p.SnapLength), "-w", "-"}
		lasting = append(lasting, k.begin("packets", "packets.pcap", append(argv, strings.Fields(p.Filter)...), true))
	}
	sampled := k.sample(ctx, c, "/")
	if err := ready(); err != nil {
		return err
	}
	<-ctx.Done()
	sampled()
	for _, l := range lasting {
		l.end()
	}
	commands("after")
	k.files(c.Files)
	for _, unit := range c.Journal {
		argv := []string{"journalctl", "--no-pager", "--quiet", "--output", "short-iso-precise", "--unit", unit, "--since", fmt.Sprintf("@%d", began.Unix())}
		within, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), commandTimeout, fmt.Errorf("it took longer than %v", commandTimeout))
		k.command(within, "journal of "+unit, filepath.Join("journal", unit+".txt"), argv)
		cancel()
	}
	return k.index()
}

// index writes the IndexFile.
func (k *keeper) index() error {
	if err := os.MkdirAll(k.dir, 0o755); err != nil {
		return err
	}
	text, err := json.MarshalIndent(append([]Item{}, k.items...), "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(k.dir, IndexFile), 0o644, func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	})
}

// files keeps the plain files that patterns name.
func (k *keeper) files(patterns []string) {
	var all []string
	for _, pattern := range patterns {
		paths, err := filepath.Glob(pattern)
		switch {
		case !filepath.IsAbs(pattern):
			k.note("files "+pattern, "it is no absolute path")
		case err != nil:
			k.note("files "+pattern, err.Error())
		case len(paths) == 0:
			k.note("files "+pattern, "there are none")
		default:
			all = append(all, paths...)
		}
	}
	slices.Sort(all)
	for _, path := range slices.Compact(all) {
		if err := k.file(path); err != nil {
			k.note("file "+path, err.Error())
		}
	}
}

// file keeps one; it waits for nobody to write to it.
func (k *keeper) file(path string) error {
	if strings.ContainsAny(path, "\n\\") {
		return errors.New("its name cannot be kept")
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return errors.Unwrap(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is no plain file")
	}
	s := k.open("file "+path, filepath.Join("files", path))
	_, err = io.Copy(s, f)
	s.close(err)
	return nil
}
