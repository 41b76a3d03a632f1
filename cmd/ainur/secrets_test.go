package main

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	labs "github.com/ainur-faas/ainur/orchestrator/lab"
)

// canaries are secrets that must be seen nowhere, by what they are.
type canaries map[string]string

// in names those that are in a text, in any of the forms in which they may be written.
func (c canaries) in(text []byte) (found []string) {
	for what, secret := range c {
		for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret)), url.QueryEscape(secret), strings.ReplaceAll(secret, "'", `'\''`)} {
			if bytes.Contains(text, []byte(form)) {
				found = append(found, what)
				break
			}
		}
	}
	return found
}

// TestSecrets has a password for sudo, the passphrase of a key and a sensitive variable, and works with
// hosts as a user who has to give them. They are in no arguments and no environment of any process,
// in no file and no output, here and on the hosts.
func TestSecrets(t *testing.T) {
	if _, err := exec.LookPath("sudo"); err != nil {
		t.Skipf("needs sudo: %v", err)
	}
	secrets := canaries{"password": "c4n'ary $(x)" + rand.Text(), "passphrase": "passphrase of " + rand.Text(), "variable": "variable of " + rand.Text()}
	s := threeNodes(t, labs.Options{User: "faas"}, time.Second)
	s.lock(secrets["passphrase"])
	for _, h := range s.lab.Hosts {
		s.give(h, "faas", secrets["password"])
	}
	password := filepath.Join(t.TempDir(), "password")
	variables := filepath.Join(t.TempDir(), "v.ainurvars.hcl")
	for path, text := range map[string]string{password: secrets["password"] + "\n", variables: fmt.Sprintf("token = %q\n", secrets["variable"])} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.edit(`user   = "root"`, `user   = "faas"`, "  host \"n1\" {", `  become {
    method   = "sudo"
    password = secret.sudo
  }

  host "n1" {`, `cluster "lab" {`, fmt.Sprintf(`secret "sudo" {
  file = %q
}

variable "token" {
  type      = string
  sensitive = true
  validation {
    condition     = length(var.token) > 20
    error_message = "too short"
  }
}

cluster "lab" {`, password))
	s.flags = append(s.flags, "--var-file", variables)
	s.remember()
	seen := s.watch(secrets)
	for _, verb := range [][]string{
		{"plan"}, {"up", "--yes"}, {"up"}, {"facts"}, {"run", "--repeat", "1"}, {"status"}, {"destroy", "--yes"},
	} {
		if verb[0] == "destroy" {
			s.searched(secrets)
		}
		s.typed(secrets, verb...)
	}
	for _, verb := range []string{"report", "logs", "show"} {
		out, err := exec.Command("ainur", verb, s.newest().Manifest.RunID).CombinedOutput()
		if found := secrets.in(out); err != nil || len(found) > 0 {
			t.Errorf("%s: %v, and it shows %v", verb, err, found)
		}
	}
	seen()
	s.searched(secrets)
	for _, h := range s.lab.Hosts {
		s.inside(h, "rm -r /run/sudo") // which is sudo's
	}
	s.unchanged()
}

// lock gives the lab's key a passphrase.
func (s *onHosts) lock(passphrase string) {
	s.Helper()
	text, err := os.ReadFile(s.lab.Key)
	if err != nil {
		s.Fatal(err)
	}
	key, err := ssh.ParseRawPrivateKey(text)
	if err != nil {
		s.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte(passphrase))
	if err != nil {
		s.Fatal(err)
	}
	if err := os.WriteFile(s.lab.Key, pem.EncodeToMemory(block), 0o600); err != nil {
		s.Fatal(err)
	}
}

// give has a user of a host become root by a password alone, and on a terminal only.
func (s *onHosts) give(h *labs.Host, user, password string) {
	s.Helper()
	cmd := exec.Command("nsenter", "--target", strconv.Itoa(h.PID), "--net", "--mount", "--pid", "sh", "-ec",
		`chpasswd && rm -f /etc/sudoers.d/`+user+` && (umask 337; printf '%s\n' '`+user+` ALL=(ALL) ALL' 'Defaults requiretty' >/etc/sudoers.d/`+user+`)`)
	cmd.Stdin = strings.NewReader(user + ":" + password + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		s.Fatalf("%v\n%s", err, out)
	}
}

// watch looks at the arguments and the environments of all processes, those of the hosts among
// them, until it is asked what it has seen.
func (s *onHosts) watch(secrets canaries) (seen func()) {
	ended := make(chan struct{})
	looked := 0
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			select {
			case <-ended:
				return
			case <-time.After(5 * time.Millisecond):
			}
			for _, name := range []string{"cmdline", "environ"} {
				paths, err := filepath.Glob("/proc/[0-9]*/" + name)
				if err != nil {
					s.Error(err)
				}
				for _, path := range paths {
					text, err := os.ReadFile(path)
					if err != nil {
						continue // it has ended
					}
					looked++
					if found := secrets.in(text); len(found) > 0 {
						s.Errorf("%v is in %s: %q", found, path, text)
					}
				}
			}
		}
	})
	return func() {
		close(ended)
		watching.Wait()
		if looked < 1000 {
			s.Errorf("only %d processes were looked at", looked)
		}
	}
}

// typed runs a verb on the experiment on a terminal, and answers what it asks.
func (s *onHosts) typed(secrets canaries, verb ...string) {
	s.Helper()
	terminal, end, err := openTerminal()
	if err != nil {
		s.Fatal(err)
	}
	defer terminal.Close()
	cmd := s.command(verb[0], verb[1:]...)
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = end, &out, end
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := errors.Join(cmd.Start(), end.Close()); err != nil {
		s.Fatal(err)
	}
	var said []byte
	for asked := 0; ; {
		b := make([]byte, 4096)
		n, err := terminal.Read(b)
		said = append(said, b[:n]...)
		if times := bytes.Count(said, []byte("Passphrase of")); times > asked {
			asked = times
			if _, err := io.WriteString(terminal, secrets["passphrase"]+"\n"); err != nil {
				s.Error(err)
			}
		}
		if err != nil {
			break // the other end is closed
		}
	}
	err = cmd.Wait()
	said = append(said, out.Bytes()...)
	if found := secrets.in(said); err != nil || len(found) > 0 {
		s.Errorf("ainur %v: %v, and it shows %v:\n%s", verb, err, found, said)
	}
}

// openTerminal is the two ends of one.
func openTerminal() (terminal, end *os.File, err error) {
	if terminal, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		return nil, nil, err
	}
	number, err := unix.IoctlGetInt(int(terminal.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(terminal.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		end, err = os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		return nil, nil, errors.Join(err, terminal.Close())
	}
	return terminal, end, nil
}

// searched checks that no file has a secret: of the experiment, of what ainur keeps here, and
// of the hosts.
func (s *onHosts) searched(secrets canaries) {
	s.Helper()
	roots := []string{s.dir, os.Getenv("AINUR_DATA_DIR"), os.Getenv("AINUR_STATE_DIR")}
	for _, h := range s.lab.Hosts {
		for _, folder := range slices.Concat(written, []string{"/dev/shm"}) {
			roots = append(roots, filepath.Join("/proc", strconv.Itoa(h.PID), "root", folder))
		}
	}
	files := 0
	for _, root := range roots {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil // it is gone, or is no file
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return nil
			}
			files++
			if found := secrets.in(text); len(found) > 0 {
				s.Errorf("%v is in %s", found, path)
			}
			return nil
		})
		if err != nil {
			s.Error(err)
		}
	}
	if files < 20 {
		s.Errorf("only %d files were searched", files)
	}
}
