// Package remotetest is what every kind of host has to pass.
package remotetest

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/ainur-faas/ainur/orchestrator/remote"
)

// Run tests a kind of host. Open connects to one; the test closes it.
func Run(t *testing.T, open func(t *testing.T) remote.Conn) {
	for name, test := range map[string]func(*testing.T, remote.Conn, string){
		"arguments":             arguments,
		"streams":               streams,
		"ends":                  ends,
		"no such program":       noProgram,
		"stopped":               stopped,
		"stopped at once":       stoppedAtOnce,
		"does not listen":       deaf,
		"daemon":                daemon,
		"many":                  many,
		"nobody reads":          unread,
		"reader that fails":     failingReader,
		"root":                  root,
		"push":                  push,
		"push nothing":          pushNothing,
		"push changed":          pushChanged,
		"push packed":           pushPacked,
		"push kept":             pushKept,
		"push cut off":          pushCutOff,
		"push while it is read": pushRead,
		"close":                 closing,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := open(t)
			dir := strings.TrimSpace(say(t, c, "mktemp", "-d"))
			test(t, c, dir)
			if name != "close" {
				say(t, c, "rm", "-r", dir)
			}
			if err := c.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
}

// say is what a command prints.
func say(t *testing.T, c remote.Conn, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	if err := c.Run(t.Context(), remote.Command{Args: args, Stdout: &out}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func arguments(t *testing.T, c remote.Conn, _ string) {
	words := []string{"a b", "it's", "", `$HOME "x"`, "*", "-n", "~", "\n", "!!", `\n\\`, "ä", "%s", "`id`"}
	if got, want := say(t, c, append([]string{"printf", "%s|"}, words...)...), strings.Join(words, "|")+"|"; got != want {
		t.Errorf("arguments became %q, want %q", got, want)
	}
}

func streams(t *testing.T, c remote.Conn, _ string) {
	big := bytes.Repeat([]byte("0123456789abcde\n"), 1<<16)
	var out, complaints bytes.Buffer
	err := c.Run(t.Context(), remote.Command{Args: []string{"tee", "/dev/stderr"}, Stdin: bytes.NewReader(big), Stdout: &out, Stderr: &complaints})
	if err != nil || !bytes.Equal(out.Bytes(), big) || !bytes.Equal(complaints.Bytes(), big) {
		t.Errorf("%d and %d of %d bytes came back, %v", out.Len(), complaints.Len(), len(big), err)
	}
}

func ends(t *testing.T, c remote.Conn, _ string) {
	for script, want := range map[string]remote.ExitError{
		"echo why >&2; exit 7": {Program: "sh", Status: 7, Stderr: "why"},
		"exit 255":             {Program: "sh", Status: 255},
		"kill -9 $$":           {Program: "sh", Status: -1, Signal: "KILL"},
		"kill -TERM $$":        {Program: "sh", Status: -1, Signal: "TERM"},
	} {
		err := c.Run(t.Context(), remote.Command{Args: []string{"sh", "-c", script}})
		var bad *remote.ExitError
		if !errors.As(err, &bad) || *bad != want {
			t.Errorf("%s: %v, want %v", script, err, &want)
		}
	}
	if err := c.Run(t.Context(), remote.Command{}); err == nil {
		t.Error("a command without a program went well")
	}
}

func noProgram(t *testing.T, c remote.Conn, _ string) {
	err := c.Run(t.Context(), remote.Command{Args: []string{"no-such-program"}})
	var bad *remote.ExitError
	if !errors.As(err, &bad) || bad.Status != 127 || !strings.Contains(err.Error(), "no-such-program") {
		t.Errorf("got %v", err)
	}
}

// A command whose time is over is ended, and so is what it has started.
func stopped(t *testing.T, c remote.Conn, dir string) {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	err := c.Run(ctx, remote.Command{Args: []string{"sh", "-c", "(sleep 3; echo >" + dir + "/late) & sleep 100; true"}, Stdin: endless{}})
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, remote.ErrUnknown) || time.Since(began) > 2*time.Second {
		t.Errorf("got %v after %v", err, time.Since(began))
	}
	time.Sleep(3 * time.Second)
	if got := say(t, c, "ls", dir); got != "" {
		t.Error("what it had started went on")
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

func stoppedAtOnce(t *testing.T, c remote.Conn, _ string) {
	for _, after := range []time.Duration{0, time.Microsecond, time.Millisecond, 5 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(t.Context(), after)
		began := time.Now()
		if err := c.Run(ctx, remote.Command{Args: []string{"sleep", "100"}}); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 2*time.Second {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
		cancel()
	}
	say(t, c, "true") // it is as good as before
}

// A command that does not end when it is asked to is made to.
func deaf(t *testing.T, c remote.Conn, _ string) {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	err := c.Run(ctx, remote.Command{Args: []string{"sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"}})
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, remote.ErrUnknown) || time.Since(began) > 8*time.Second {
		t.Errorf("got %v after %v", err, time.Since(began))
	}
	say(t, c, "true")
}

// A command ends with its own end, whatever it leaves behind.
func daemon(t *testing.T, c remote.Conn, _ string) {
	began := time.Now()
	if got := say(t, c, "sh", "-c", "sleep 20 & echo $!"); time.Since(began) > 10*time.Second {
		t.Errorf("it took %v", time.Since(began))
	} else {
		say(t, c, "sh", "-c", "kill "+strings.TrimSpace(got))
	}
}

func many(t *testing.T, c remote.Conn, _ string) {
	var all sync.WaitGroup
	for i := range 30 {
		all.Go(func() {
			var out bytes.Buffer
			err := c.Run(t.Context(), remote.Command{Args: []string{"sh", "-c", "cat; echo $0", fmt.Sprint(i)}, Stdin: strings.NewReader("in "), Stdout: &out})
			if want := fmt.Sprintf("in %d\n", i); err != nil || out.String() != want {
				t.Errorf("%q, %v; want %q", out.String(), err, want)
			}
		})
	}
	all.Wait()
}

func unread(t *testing.T, c remote.Conn, _ string) {
	if err := c.Run(t.Context(), remote.Command{Args: []string{"true"}, Stdin: bytes.NewReader(make([]byte, 4<<20))}); err != nil {
		t.Errorf("a command that does not read: %v", err)
	}
	if err := c.Run(t.Context(), remote.Command{Args: []string{"sh", "-c", "head -c 5000000 /dev/zero; head -c 5000000 /dev/zero >&2"}}); err != nil {
		t.Errorf("output that nobody wants: %v", err)
	}
}

// One who cannot take the output does not stop the command, and is told of.
func failingReader(t *testing.T, c remote.Conn, dir string) {
	full := errors.New("full")
	err := c.Run(t.Context(), remote.Command{
		Args: []string{"sh", "-c", "head -c 5000000 /dev/zero; echo >" + dir + "/done"}, Stdout: writer(func([]byte) (int, error) { return 0, full }),
	})
	if !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
	if got := say(t, c, "ls", dir); got != "done\n" {
		t.Errorf("the command did not go on: %q", got)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

func root(t *testing.T, c remote.Conn, dir string) {
	var out bytes.Buffer
	err := c.Run(t.Context(), remote.Command{Args: []string{"sh", "-c", "id -u; cat"}, Root: true, Stdin: strings.NewReader("what it reads"), Stdout: &out})
	if err != nil || out.String() != "0\nwhat it reads" {
		t.Errorf("as root: %q, %v", out.String(), err)
	}
	err = c.Run(t.Context(), remote.Command{Args: []string{"sh", "-c", "echo no >&2; exit 3"}, Root: true})
	var bad *remote.ExitError
	if !errors.As(err, &bad) || bad.Status != 3 || bad.Stderr != "no" {
		t.Errorf("as root: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	err = c.Run(ctx, remote.Command{Args: []string{"sleep", "100"}, Root: true})
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, remote.ErrUnknown) || time.Since(began) > 2*time.Second {
		t.Errorf("stopped as root: %v after %v", err, time.Since(began))
	}
	folder := filepath.Join(dir, "of root")
	if changed, err := c.Push(t.Context(), remote.File{Path: folder + "/f", Mode: 0o600, Root: true, Content: strings.NewReader("x")}); err != nil || !changed {
		t.Errorf("push as root: %v, %v", changed, err)
	}
	if got := say(t, c, "stat", "-c", "%u %a", folder, folder); got != "0 755\n0 755\n" {
		t.Errorf("the folder is %s", got)
	}
	if err := c.Run(t.Context(), remote.Command{Args: []string{"chmod", "777", folder}, Root: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Push(t.Context(), remote.File{Path: folder + "/g", Mode: 0o600, Root: true, Content: strings.NewReader("x")}); err == nil || !strings.Contains(err.Error(), "others") {
		t.Errorf("push as root where others may write: %v", err)
	}
	if err := c.Run(t.Context(), remote.Command{Args: []string{"rm", "-r", folder}, Root: true}); err != nil {
		t.Error(err)
	}
}

func push(t *testing.T, c remote.Conn, dir string) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 3<<16)
	path := filepath.Join(dir, "new folder", "it's")
	for i, want := range []bool{true, false} {
		if changed, err := c.Push(t.Context(), remote.File{Path: path, Mode: 0o755, Content: bytes.NewReader(content)}); err != nil || changed != want {
			t.Errorf("push %d: changed %v, %v", i+1, changed, err)
		}
	}
	sum := sha256.Sum256(content)
	if got := say(t, c, "sha256sum", path); !strings.HasPrefix(strings.TrimPrefix(got, `\`), hex.EncodeToString(sum[:])) {
		t.Errorf("the content is another: %s", got)
	}
	if got := say(t, c, "stat", "-c", "%s %a", path); got != fmt.Sprintf("%d 755\n", len(content)) {
		t.Errorf("the file is %s", got)
	}
	for name, f := range map[string]remote.File{
		"is not absolute": {Path: "f", Content: strings.NewReader("x")},
		"is a folder":     {Path: dir, Content: strings.NewReader("x")},
		"SHA-256":         {Path: dir + "/f", Content: strings.NewReader("x"), SHA256: strings.Repeat("0", 64)},
	} {
		if _, err := c.Push(t.Context(), f); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "push "+f.Path) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := say(t, c, "ls", "-A", dir); got != "new folder\n" {
		t.Errorf("left: %s", got)
	}
}

func pushNothing(t *testing.T, c remote.Conn, dir string) {
	if changed, err := c.Push(t.Context(), remote.File{Path: dir + "/empty", Mode: 0o644, Content: strings.NewReader("")}); err != nil || !changed {
		t.Errorf("changed %v, %v", changed, err)
	}
	if got := say(t, c, "stat", "-c", "%s %a", dir+"/empty"); got != "0 644\n" {
		t.Errorf("the file is %s", got)
	}
}

// What comes packed is there unpacked, or not at all.
func pushPacked(t *testing.T, c remote.Conn, dir string) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 3<<12)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(content)
	f := remote.File{Path: dir + "/f", Mode: 0o755, SHA256: hex.EncodeToString(sum[:]), Unpack: "gzip -dc"}
	for name, half := range map[string]bool{"half": true, "whole": false} {
		text := packed.Bytes()
		if half {
			text = text[:len(text)/2]
		}
		f.Path, f.Content = dir+"/"+name, bytes.NewReader(text)
		if changed, err := c.Push(t.Context(), f); changed == half || (err != nil) != half {
			t.Errorf("push of %s: changed %v, %v", name, changed, err)
		}
	}
	if got, want := say(t, c, "sh", "-c", "ls -A "+dir+"; sha256sum <"+dir+"/whole"), "whole\n"+f.SHA256+"  -\n"; got != want {
		t.Errorf("there is %q, want %q", got, want)
	}
}

// What is kept comes back without being sent.
func pushKept(t *testing.T, c remote.Conn, dir string) {
	for _, name := range []string{"one", "two", "one", "two", "one"} {
		sum := sha256.Sum256([]byte(name))
		f := remote.File{Path: dir + "/f", Mode: 0o755, Content: strings.NewReader(name), SHA256: hex.EncodeToString(sum[:]), Keep: true}
		if say(t, c, "ls", dir) == "f\nf.prev\n" {
			f.Content = nil // who reads it panics
		}
		if changed, err := c.Push(t.Context(), f); err != nil || !changed {
			t.Errorf("push %s: changed %v, %v", name, changed, err)
		}
	}
	if got := say(t, c, "sh", "-c", "cd "+dir+"; ls -A; cat f f.prev"); got != "f\nf.prev\nonetwo" {
		t.Errorf("there is %q", got)
	}
}

// What is there is replaced, whatever it is, and a link's target is let alone.
func pushChanged(t *testing.T, c remote.Conn, dir string) {
	say(t, c, "sh", "-c", "cd "+dir+"; echo old >target; ln -s target link; echo x >mode; chmod 600 mode")
	for name, content := range map[string]string{"link": "new\n", "mode": "x\n"} {
		for i, want := range []bool{true, false} {
			if changed, err := c.Push(t.Context(), remote.File{Path: filepath.Join(dir, name), Mode: 0o640, Content: strings.NewReader(content)}); err != nil || changed != want {
				t.Errorf("push %d of %s: changed %v, %v", i+1, name, changed, err)
			}
		}
	}
	if got, want := say(t, c, "sh", "-c", "cd "+dir+"; stat -c '%F %a' link mode; cat link target mode"), "regular file 640\nregular file 640\nnew\nold\nx\n"; got != want {
		t.Errorf("there is %q, want %q", got, want)
	}
}

// An upload that fails on this side leaves what was there, and nothing else.
func pushCutOff(t *testing.T, c remote.Conn, dir string) {
	path := dir + "/f"
	if _, err := c.Push(t.Context(), remote.File{Path: path, Mode: 0o644, Content: strings.NewReader("old")}); err != nil {
		t.Fatal(err)
	}
	half := struct {
		io.Reader
		io.Seeker
	}{io.MultiReader(strings.NewReader(strings.Repeat("x", 1<<20)), iotest.ErrReader(os.ErrClosed)), nil}
	if _, err := c.Push(t.Context(), remote.File{Path: path, Mode: 0o644, Content: half, SHA256: strings.Repeat("1", 64)}); err == nil {
		t.Error("half a file was pushed")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	slow := struct {
		io.Reader
		io.Seeker
	}{waiting{ctx}, nil}
	if _, err := c.Push(ctx, remote.File{Path: path, Mode: 0o644, Content: slow, SHA256: strings.Repeat("1", 64)}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a push whose time is over: %v", err)
	}
	if got := say(t, c, "sh", "-c", "cd "+dir+"; ls -A; cat f"); got != "f\nold" {
		t.Errorf("there is %q", got)
	}
}

// waiting gives a byte at a time until its context ends.
type waiting struct{ ctx context.Context } //nolint:containedctx // a Read takes none

func (w waiting) Read(b []byte) (int, error) {
	select {
	case <-w.ctx.Done():
		return 0, context.Cause(w.ctx)
	case <-time.After(10 * time.Millisecond):
		return 1, nil
	}
}

// Who reads a file while it is pushed sees the old one or the new one.
func pushRead(t *testing.T, c remote.Conn, dir string) {
	path := dir + "/f"
	content := func(i int) string { return strings.Repeat(fmt.Sprint(i%10), 200_000) }
	push := func(i int) {
		if _, err := c.Push(t.Context(), remote.File{Path: path, Mode: 0o644, Content: strings.NewReader(content(i))}); err != nil {
			t.Error(err)
		}
	}
	push(0)
	var seen bytes.Buffer
	reading := make(chan error, 1)
	go func() {
		script := "i=0; while [ $i -lt 100 ] && [ ! -e " + dir + "/stop ]; do tr -d '\\n' <" + path + " | fold -w 1 | sort -u | tr -d '\\n'; wc -c <" + path + "; i=$((i+1)); done"
		reading <- c.Run(t.Context(), remote.Command{Args: []string{"sh", "-c", script}, Stdout: &seen})
	}()
	for i := range 5 {
		push(i)
	}
	say(t, c, "touch", dir+"/stop")
	if err := <-reading; err != nil {
		t.Error(err)
	}
	for line := range strings.Lines(seen.String()) {
		if line = strings.TrimSpace(line); len(line) != len("0200000") || !strings.HasSuffix(line, "200000") {
			t.Errorf("a reader saw %q", line)
		}
	}
}

// To close a connection is to end what runs through it, as far as one is waited for.
func closing(t *testing.T, c remote.Conn, _ string) {
	ended := make(chan error, 1)
	go func() { ended <- c.Run(t.Context(), remote.Command{Args: []string{"sleep", "5"}}) }()
	time.Sleep(200 * time.Millisecond)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	select {
	case err := <-ended:
		if err == nil {
			t.Error("a command that was cut off went well")
		}
	case <-time.After(3 * time.Second):
		t.Error("it goes on")
	}
	if err := c.Run(t.Context(), remote.Command{Args: []string{"true"}}); !errors.Is(err, remote.ErrUnreachable) {
		t.Errorf("a command over a closed connection: %v", err)
	}
}
