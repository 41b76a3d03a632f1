package sshconfig_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ainur-faas/ainur/orchestrator/remote/sshconfig"
)

// files are configurations that ssh and our own reading are to agree on. DIR is where
// they are.
var files = []string{
	"",
	"Host w1\n  HostName 10.0.0.1\n  User faas\n  Port 2222\n",
	"Host *\n  User a\nHost w1\n  User b\n",
	"Host w1\n  User b\nHost *\n  User a\n  ProxyJump gate\n",
	"Host w* !w1\n  User a\nHost *\n  User c\n",
	"Host w?\n  IdentityFile ~/.ssh/one\n  IdentityFile ~/.ssh/two\n  IdentityFile ~/.ssh/one\n  IdentitiesOnly yes\n",
	"host=w1\n  hostname=%h.example.org\n  port = 22\n",
	"# comment\nHost \"w1\" w2 # more\n  HostKeyAlias lab # and more\n  UserKnownHostsFile /a /b\n  GlobalKnownHostsFile /c\n",
	"Host w1\n  ProxyJump none\nHost *\n  ProxyJump gate\n",
	"Host w1\n  ProxyCommand nc \"-x\" %h %p # x\nHost *\n  ProxyJump gate\n",
	"Host w1\n  ProxyJump gate\nHost *\n  ProxyCommand nc %h %p\n",
	"Host w1\n  IdentityAgent none\n  CertificateFile ~/.ssh/c-cert.pub\n",
	"Host other\n  User x\n",
	"Match all\n  User x\n",
	"Match host w*\n  User x\nMatch host w1,!w2\n  Port 3\n",
	"Match !host w1\n  User x\nMatch host other\n  Port 3\n",
	"HostName w9\nMatch host w9\n  User x\nMatch originalhost w1\n  Port 3\nHost w9\n  Port 4\n",
	"User me\nMatch user me\n  Port 3\nMatch user you\n  Port 4\n",
	"Match localuser root\n  Port 3\nMatch localuser nobody-at-all\n  User x\n",
	"Match host w1 user nobody-at-all\n  Port 3\nMatch host=w1 originalhost=w1\n  User y\n",
	"Host w1\n  HostName w7\nMatch final host w7\n  User x\nHost w7\n  Port 7\n",
	"Match final all\n  User x\nMatch canonical\n  Port 3\n",
	"Match !final\n  User x\nMatch final\n  Port 3\n",
	"Include DIR/inc*\nPort 9\nUser z\n",
	"Host w1\n  Include DIR/inc*\n  Port 9\n",
	"Host other\n  Include DIR/inc*\nHost *\n  Port 9\n",
	"Include DIR/nothing*\nUser z\n",
	"Include \"DIR/inc a\" DIR/incb\n",
	"User 'a b'\n",
	"IdentityFile \"~/a b\"\nHostKeyAlias a\\ b\n",
	"HOST w1\n  USER x\n",
	"Host W1\n  User x\nMatch host W1\n  Port 3\n",
	"Host w1\n\n\tuser\tx\r\n  port 5   \n",
	"Host 10.0.0.? w[1]\n  User x\n",
}

// TestAgree: what ssh says of a configuration is what we read.
func TestAgree(t *testing.T) {
	program, err := exec.LookPath("ssh")
	if err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"inc a": "Host w1\n  User inner\nHost other\n  Port 7\n", "incb": "IdentityFile /b\n", "incc": "Include DIR/incb\nHost w*\n  Port 8\n"} {
		write(t, filepath.Join(dir, name), strings.ReplaceAll(text, "DIR", dir))
	}
	for _, user := range []string{"", "given"} {
		for _, text := range files {
			file := filepath.Join(dir, "config")
			write(t, file, strings.ReplaceAll(text, "DIR", dir))
			q := sshconfig.Query{Host: "w1", User: user, LocalUser: "root", Home: os.Getenv("HOME")}
			theirs, err := sshconfig.Ask(t.Context(), program, file, q, 0)
			if err != nil {
				t.Fatal(err)
			}
			empty := filepath.Join(dir, "empty")
			write(t, empty, "")
			defaults, err := sshconfig.Ask(t.Context(), program, empty, q, 0)
			if err != nil {
				t.Fatal(err)
			}
			ours, warnings, err := sshconfig.Read(file, "", q)
			if err != nil || len(warnings) > 0 {
				t.Errorf("%q: %v, %v", text, warnings, err)
			}
			want, got := map[string][]string{}, map[string][]string{}
			for _, keyword := range []string{
				"hostname", "user", "port", "identityfile", "identitiesonly", "identityagent", "certificatefile", "proxyjump", "proxycommand",
				"userknownhostsfile", "globalknownhostsfile", "hostkeyalias",
			} {
				want[keyword], got[keyword] = theirs[keyword], ours[keyword]
				if len(got[keyword]) == 0 {
					got[keyword] = defaults[keyword]
				}
				if v := got[keyword]; strings.HasPrefix(keyword, "proxy") && len(v) == 1 && v[0] == "none" {
					got[keyword] = nil // which ssh does not say
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%q of %q: -ssh +we\n%s", text, user, diff)
			}
		}
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What cannot be understood is told with its place, and the rest is read.
func TestWarnings(t *testing.T) {
	for text, want := range map[string]string{
		"User \"x\nPort 5\n":                    ":1 is left out: user: a quote",
		"User\nPort 5\n":                        ":1 is left out: user: it has no value",
		"Port 5\nMatch exec true\nUser x":       `:2 is left out: match: what "exec"`,
		"Port 5\nHost \"w1\nUser x":             ":2 is left out: host: a quote",
		"Port 5\nMatch host\nUser x":            ":2 is left out: match: host has no value",
		"Include DIR/config\nPort 5\n":          "too deeply",
		"Include DIR/[\nPort 5\n":               "syntax error",
		"SomethingNew yes\nPort 5\n":            "",
		"Match final\n Port 6\nHost *\n Port 5": "",
	} {
		dir := t.TempDir()
		file := filepath.Join(dir, "config")
		write(t, file, strings.ReplaceAll(text, "DIR", dir))
		values, warnings, err := sshconfig.Read(file, "", sshconfig.Query{Host: "w1"})
		if err != nil || values.One("port") != "5" || values.One("user") != "" || !strings.Contains(strings.Join(warnings, "\n"), want) || (want == "") != (len(warnings) == 0) {
			t.Errorf("%q: %v, %q, %v; want %q", text, values, warnings, err, want)
		}
	}
	system := filepath.Join(t.TempDir(), "folder")
	if err := os.Mkdir(system, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, warnings, err := sshconfig.Read("", system, sshconfig.Query{Host: "w1"}); err != nil || len(warnings) != 1 {
		t.Errorf("what cannot be read of the system's: %v, %v", warnings, err)
	}
	if _, _, err := sshconfig.Read(system, "", sshconfig.Query{Host: "w1"}); err == nil {
		t.Error("what cannot be read of the user's is not told")
	}
}

func FuzzRead(f *testing.F) {
	for _, text := range files {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(strings.ToLower(text), "include") {
			t.Skip("it reads other files")
		}
		file := filepath.Join(t.TempDir(), "config")
		write(t, file, text)
		values, warnings, err := sshconfig.Read(file, "", sshconfig.Query{Host: "w1", LocalUser: "me"})
		if err != nil {
			t.Fatal(err)
		}
		for keyword, v := range values {
			if len(v) == 0 {
				t.Errorf("%s has no value", keyword)
			}
		}
		for _, w := range warnings {
			if !strings.HasPrefix(w, file+":") {
				t.Errorf("%q does not say where", w)
			}
		}
	})
}
