package ssh_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/remote"
	"github.com/ainur-faas/ainur/orchestrator/remote/ssh"
	"github.com/ainur-faas/ainur/orchestrator/remote/sshtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// canary is a password, with what a shell, a log and a URL treat in their own ways.
const canary = `c4n'ary $(x) "%2f+` + "\\"

// sudo behaves as the real one does without a terminal.
const sudo = `
quiet=
while :; do case $1 in
  -n) quiet=1; shift ;;
  -k | -S) shift ;;
  -p) prompt=$2; shift 2 ;;
  -u) shift 2 ;;
  --) shift; break ;;
esac; done
echo "We trust you have received the usual lecture." >&2
while [ "$CACHED" != 1 ]; do
  if [ "$quiet" ]; then echo "sudo: a password is required" >&2; exit 1; fi
  printf %s "$prompt" >&2
  if ! IFS= read -r got; then echo "sudo: no password was provided" >&2; exit 1; fi
  if [ "$got" = "$(cat "$(dirname "$0")/password")" ]; then break; fi
  echo "Sorry, try again. ($got)" >&2
done
exec "$@"
`

// host has a sudo, and a user who is not yet who he is to become.
func host(t *testing.T, sudo string) (spec.Host, spec.Become) {
	t.Helper()
	path := tools(t, nil, map[string]string{"sudo": sudo})
	if err := os.WriteFile(filepath.Join(path, "password"), []byte(canary+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := sshtest.Start(t, sshtest.Faults{Path: path + ":" + os.Getenv("PATH")})
	return hostOf(s), spec.Become{Method: "sudo", User: "another", Password: &spec.Secret{Name: "sudo"}}
}

func TestBecome(t *testing.T) {
	for name, tt := range map[string]struct {
		sudo     string
		password string // "" is none
		kind     error
		want     []string // in the error; nil: there is none
	}{
		"without":       {"CACHED=1" + sudo, "", nil, nil},
		"with":          {sudo, canary, nil, nil},
		"not asked for": {"case $1 in -k) CACHED=1 ;; esac" + sudo, canary, nil, nil}, // by a rule that came meanwhile
		"none given":    {sudo, "", remote.ErrRefused, []string{"host h", "become root", "password = secret.NAME"}},
		"wrong":         {sudo, "wrong", remote.ErrRefused, []string{"host h", "become root", "did not take the password"}},
		"not allowed":   {"echo 'another is not in the sudoers file.' >&2; exit 1", canary, remote.ErrRefused, []string{"become root", "not in the sudoers"}},
		"terminal":      {"if ! (exec </dev/tty) 2>/dev/null; then echo 'sudo: sorry, you must have a tty to run sudo' >&2; exit 1; fi" + sudo, canary, nil, nil},
		"no terminal":   {"echo 'sudo: sorry, you must have a tty to run sudo' >&2; exit 1", canary, remote.ErrRefused, []string{"become root", "!requiretty"}},
		"no sudo":       {"exit 127", canary, nil, []string{"become root", "install it"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, become := host(t, tt.sudo)
			if tt.password == "" {
				become.Password = nil
			}
			asked := 0
			d := ssh.New(ssh.Options{Password: func(context.Context, *spec.Secret) (string, error) {
				asked++
				return tt.password, nil
			}})
			for range 2 { // the second knows
				c, err := d.Dial(t.Context(), h, become)
				if err != nil {
					t.Fatal(err)
				}
				var out, complaints bytes.Buffer
				err = c.Run(t.Context(), remote.Command{Args: []string{"cat"}, Root: true, Stdin: strings.NewReader("what it reads"), Stdout: &out, Stderr: &complaints})
				if (err == nil) != (tt.want == nil) || tt.kind != nil && !errors.Is(err, tt.kind) {
					t.Errorf("got %v, want %v %q", err, tt.kind, tt.want)
				}
				for _, want := range tt.want {
					if err != nil && !strings.Contains(err.Error(), want) {
						t.Errorf("%q does not say %q", err, want)
					}
				}
				if err == nil && (out.String() != "what it reads" || strings.Contains(complaints.String(), "required")) {
					t.Errorf("the command read %q, complained %q", out.String(), complaints.String())
				}
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			}
			if asked > 1 {
				t.Errorf("the password was asked for %d times", asked)
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A password that one host has refused is not tried on others at the same time.
func TestWrongPassword(t *testing.T) {
	tries := filepath.Join(t.TempDir(), "tries")
	var asked atomic.Int64
	d := ssh.New(ssh.Options{Password: func(context.Context, *spec.Secret) (string, error) {
		asked.Add(1)
		return "wrong", nil
	}})
	var all sync.WaitGroup
	for range 4 {
		h, become := host(t, "case $1 in -k) echo >>"+tries+" ;; esac"+sudo)
		all.Go(func() {
			c, err := d.Dial(t.Context(), h, become)
			if err != nil {
				t.Error(err)
				return
			}
			if err := c.Run(t.Context(), remote.Command{Args: []string{"true"}, Root: true}); !errors.Is(err, remote.ErrRefused) {
				t.Errorf("got %v", err)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(tries); err != nil || len(got) != 1 || asked.Load() != 1 {
		t.Errorf("it was asked for %d times and tried %d times, %v", asked.Load(), len(got), err)
	}
}

// A password is seen in no arguments, environment, output or error, whoever repeats it.
func TestCanary(t *testing.T) {
	h, become := host(t, sudo)
	d := ssh.New(ssh.Options{
		Password: func(context.Context, *spec.Secret) (string, error) { return canary, nil },
		Tell: func(_, message string) {
			if strings.Contains(message, "ary $(x)") {
				t.Errorf("told: %s", message)
			}
		},
	})
	c, err := d.Dial(t.Context(), h, become)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	var out, complaints bytes.Buffer
	echo := "cat; cat >&2 " + filepath.Join(t.TempDir(), "nothing") + "; sleep 1; exit 3"
	go func() {
		ended <- c.Run(t.Context(), remote.Command{Args: []string{"sh", "-c", echo}, Root: true, Stdin: strings.NewReader("[" + canary + "]"), Stdout: &out, Stderr: &complaints})
	}()
	for range 20 {
		lists, err := filepath.Glob("/proc/[0-9]*/[ce][mn][dv]*")
		if err != nil || len(lists) == 0 {
			t.Fatal(err)
		}
		for _, list := range lists {
			if text, err := os.ReadFile(list); err == nil && bytes.Contains(text, []byte("ary $(x)")) {
				t.Errorf("it is in %s: %q", list, text)
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	err = <-ended
	var bad *remote.ExitError
	if !errors.As(err, &bad) || bad.Status != 3 {
		t.Errorf("got %v", err)
	}
	if out.String() != "[(sensitive)]" {
		t.Errorf("the output has %q", out.String())
	}
	if text := complaints.String() + err.Error(); strings.Contains(text, "ary $(x)") {
		t.Errorf("it is in %q", text)
	}
	if err := errors.Join(c.Close(), d.Close()); err != nil {
		t.Error(err)
	}
}
