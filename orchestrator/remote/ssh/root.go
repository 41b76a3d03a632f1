package ssh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/ainur-faas/ainur/orchestrator/remote"
	"github.com/ainur-faas/ainur/orchestrator/remote/quote"
)

// rootWay is how a command becomes root's. The zero value is not at all.
type rootWay struct {
	before   []string // words before the shell
	password string   // to be written first; "" is none
	method   string
}

// command is what sshd is to execute: a shell with a script.
func (w *rootWay) command(script string) string {
	return quote.Words(append(append([]string{}, w.before...), "sh", "-c", script)...)
}

// hide keeps a password that somebody repeats from what is shown.
func (w *rootWay) hide(to io.Writer) io.Writer {
	if w.password == "" {
		return to
	}
	return redactor{to, []byte(w.password)}
}

// refused says that becoming root did not work, where a command has ended before it began.
func (w *rootWay) refused(status int, s *start, stderr string) error {
	if len(w.before) == 0 || s.group() != "" || status == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s does not let this user become root: %s", remote.ErrRefused, w.method, firstLine(stderr))
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

type redactor struct {
	to     io.Writer
	secret []byte
}

func (r redactor) Write(b []byte) (int, error) {
	if _, err := r.to.Write(bytes.ReplaceAll(b, r.secret, []byte("(sensitive)"))); err != nil {
		return 0, err
	}
	return len(b), nil
}

// wayToRoot is found out once for a connection.
func (c *conn) wayToRoot(ctx context.Context) (*rootWay, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.root != nil {
		return c.root, nil
	}
	way, err := c.findRoot(ctx)
	if err == nil {
		c.root = way
	}
	return way, err
}

func (c *conn) findRoot(ctx context.Context) (*rootWay, error) {
	if c.become.Method == "" || c.become.Method == "none" {
		return &rootWay{}, nil
	}
	user := c.become.User
	if user == "" {
		user = "root"
	}
	way := &rootWay{method: c.become.Method, before: []string{"env", "LC_ALL=C", "sudo", "-n", "-u", user, "--"}}
	if c.become.Method == "doas" {
		way.before = []string{"env", "LC_ALL=C", "doas", "-n", "-u", user}
	}
	var who bytes.Buffer
	if err := c.run(ctx, remote.Command{Args: []string{"id", "-un"}, Stdout: &who}, &rootWay{}); err != nil {
		return nil, err
	}
	if strings.TrimSpace(who.String()) == user {
		return &rootWay{}, nil
	}
	probe := remote.Command{Args: []string{"true"}}
	err := c.run(ctx, probe, way)
	if err == nil || c.become.Password == nil || !errors.Is(err, remote.ErrRefused) {
		return way, err
	}
	if c.become.Method == "doas" {
		return nil, fmt.Errorf("%w; doas reads passwords from a terminal only: allow this user nopass in doas.conf", err)
	}
	if c.dialer.options.Password == nil {
		return nil, err
	}
	if way.password, err = c.dialer.options.Password(ctx, c.become.Password); err != nil {
		return nil, err
	}
	way.before = []string{"env", "LC_ALL=C", "sudo", "-S", "-p", "", "-u", user, "--"}
	return way, c.run(ctx, probe, way)
}
