package shell

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/remote"
	"github.com/ainur-faas/ainur/orchestrator/remote/quote"
)

// way is how a command becomes root's. The zero value is not at all.
type way struct {
	method   string
	user     string
	password string // "": it must do without
	terminal bool   // on one that carries nothing: sudo may be set up to want one (requiretty)
}

// command is a shell command that executes a script in this way. Who is the user
// already needs none.
func (w way) command(script, prompt string) string {
	script = quote.Script(script)
	var before string
	switch {
	case w.method == "":
		return "exec " + script
	case w.method == "doas":
		before = quote.Words("doas", "-n", "-u", w.user)
	case w.password == "":
		before = quote.Words("env", "LC_ALL=C", "sudo", "-n", "-u", w.user, "--")
	default: // -k: sudo remembers nothing, by which others of the user's processes would be root for minutes
		before = quote.Words("env", "LC_ALL=C", "sudo", "-k", "-S", "-p", prompt, "-u", w.user, "--")
	}
	become := "exec " + before + " " + script
	if w.terminal {
		become = "exec script -qec " + quote.Word(become+" <&3 >&4 2>&5") + " /dev/null 3<&0 4>&1 5>&2 </dev/null >/dev/null 2>&1"
	}
	return "exec " + quote.Script(`[ "$(id -un)" = `+quote.Word(w.user)+" ] && exec "+script+"\n"+become)
}

// errTerminal is a sudo that works on a terminal only.
var errTerminal = errors.New("sudo wants a terminal: install script (bsdutils or util-linux), or put into its sudoers: Defaults:USER !requiretty")

// errPassword is a user who has to give a password to become root.
var errPassword = errors.New("a password is wanted: give one with become { password = secret.NAME }, or allow this user to become root without")

// refused says why a command has ended before it began.
func (w way) refused(bad *remote.ExitError) error {
	says := lastLine(bad.Stderr)
	switch {
	case w.method == "":
		return fmt.Errorf("%w before it began: is its shell one that executes commands? %w", remote.ErrRefused, bad)
	case strings.Contains(bad.Stderr, "must have a tty"):
		return fmt.Errorf("become root: %w: %w", remote.ErrRefused, errTerminal)
	case w.terminal && bad.Status == 127:
		return fmt.Errorf("become root: %w: %w", remote.ErrRefused, errTerminal)
	case w.method == "doas" && strings.Contains(says, "uthenti"):
		return fmt.Errorf("become root: %w: doas reads passwords from a terminal only: permit this user nopass in doas.conf", remote.ErrRefused)
	case w.password == "" && strings.Contains(bad.Stderr, "password is required"):
		return fmt.Errorf("become root: %w: %w", remote.ErrRefused, errPassword)
	case strings.Contains(bad.Stderr, "incorrect password") || strings.Contains(bad.Stderr, "no password was provided"):
		return fmt.Errorf("become root: %w: %s did not take the password, which was tried once", remote.ErrRefused, w.method)
	case bad.Status == 127:
		return fmt.Errorf("become root: %s is not there: install it, or connect as root: %s", w.method, says)
	}
	return fmt.Errorf("become root: %w: %s does not let this user: %s", remote.ErrRefused, w.method, says)
}

func lastLine(s string) string { return s[strings.LastIndex(s, "\n")+1:] }

// prompt is the question for a password, with a mark that nobody else can print.
type prompt struct {
	way
	mark        string
	seen, again chan struct{} // closed when it was asked, and when a second time
	times       int
}

func newPrompt(w way) *prompt {
	return &prompt{way: w, mark: "ainur-" + rand.Text(), seen: make(chan struct{}), again: make(chan struct{})}
}

// hide passes on what does not show the password or the question.
func (p *prompt) hide(to io.Writer) *filter {
	f := &filter{to: to}
	if p.password != "" {
		f.words = append(hiding(p.password), word{p.mark, "", p.asked})
	}
	return f
}

func (p *prompt) asked() {
	switch p.times++; p.times {
	case 1:
		close(p.seen)
	case 2:
		close(p.again)
	}
}

// root is how the commands of one host become root's.
type root struct {
	become  spec.Become
	secrets *Secrets

	mu  sync.Mutex
	way way
}

func newRoot(b spec.Become, s *Secrets) *root {
	r := &root{become: b, secrets: s}
	if b.Method == "sudo" || b.Method == "doas" {
		r.way = way{method: b.Method, user: b.User}
		if b.User == "" {
			r.way.user = "root"
		}
	}
	return r
}

func (r *root) now() way {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.way
}

// found is a way that works.
func (r *root) found(w way) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.way = w
}

// asRoot executes a command as root. Nothing of it is done before it is clear that a
// password is wanted.
func (h *Host) asRoot(ctx context.Context, c remote.Command) error {
	w := h.root.now()
	err := h.run(ctx, c, w)
	if errors.Is(err, errTerminal) && !w.terminal {
		w.terminal = true
		h.root.found(w)
		err = h.run(ctx, c, w)
	}
	if !errors.Is(err, errPassword) || h.root.become.Password == nil || h.root.secrets == nil {
		return err
	}
	w.password, err = h.root.secrets.prove(ctx, h.root.become.Password, func(password string) error {
		w.password = password
		return h.run(ctx, remote.Command{Args: []string{"true"}}, w)
	})
	if err != nil {
		return err
	}
	h.root.found(w)
	return h.run(ctx, c, w)
}
