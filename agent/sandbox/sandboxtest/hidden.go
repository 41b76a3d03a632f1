package sandboxtest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ainur-faas/ainur/agent/sandbox"
)

// Dir is a folder for an isolation that sandboxes would see among the files of the host,
// as they do not see those of temporary files.
func Dir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "ainur-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// Hides checks that a sandbox of an isolation whose folder is dir sees nothing of it.
func Hides(t *testing.T, i sandbox.Isolation, dir string) {
	t.Helper()
	c := Python(t, "import os\ndef main(args):\n    return [args['dir'] in [os.path.join('/var/tmp', n) for n in os.listdir('/var/tmp')], os.listdir(args['dir'])]\n")
	c.ID = "f-1"
	if err := os.WriteFile(filepath.Join(dir, "secret"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := Must(t, i, c).Invoke(t.Context(), fmt.Appendf(nil, `{"dir":%q}`, dir))
	if err != nil || string(r.Result) != `[true,[]]` {
		t.Errorf("it sees %s, %v", r.Result, err)
	}
	if err := os.Remove(filepath.Join(dir, "secret")); err != nil {
		t.Error(err)
	}
}

// KeepsPrivate checks that a sandbox of i on the files of the host, whose user is root as far as it knows,
// reads nothing that only root may.
func KeepsPrivate(t *testing.T, i sandbox.Isolation) {
	t.Helper()
	secret, err := os.MkdirTemp("/root", "ainur-private-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(secret); err != nil {
			t.Error(err)
		}
	})
	c := Python(t, `import os
def main(args):
    read = []
    for name in args['names']:
        try:
            with open(name) as f:
                if f.read():
                    read.append(name)
        except OSError:
            pass
    return read
`)
	c.ID = "private-1"
	key := filepath.Join(secret, "id_ed25519")
	if err := os.WriteFile(key, []byte("key"), 0o644); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob("/etc/ssh/ssh_host_*_key")
	if err != nil {
		t.Fatal(err)
	}
	args, err := json.Marshal(append(names, key, "/etc/shadow", "/etc/gshadow"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := Must(t, i, c).Invoke(t.Context(), fmt.Appendf(nil, `{"names":%s}`, args))
	if err != nil || string(r.Result) != "[]" {
		t.Errorf("it reads %s, %v", r.Result, err)
	}
}

// NoDevices checks that no filesystem of a sandbox of i on an image ("" is the files of the
// host) has devices but its own /dev, and none has programs that give rights.
func NoDevices(t *testing.T, i sandbox.Isolation, image string) {
	t.Helper()
	c := Python(t, "def main(args):\n    return [line.split()[4:6] for line in open('/proc/self/mountinfo')]\n")
	c.ID, c.Image = "f-1", image
	r, err := Must(t, i, c).Invoke(t.Context(), []byte("{}"))
	var mounts [][]string // folder and options
	if err == nil {
		err = json.Unmarshal(r.Result, &mounts)
	}
	if err != nil || len(mounts) < 4 {
		t.Fatalf("%v, %v", mounts, err)
	}
	for _, m := range mounts {
		if strings.HasPrefix(m[0], "/proc/") || strings.HasPrefix(m[0], "/sys/") || m[0] == "/" && image == "" { // the kernel's, and an empty folder of ours
			continue
		}
		options := strings.Split(m[1], ",")
		if device := m[0] == "/dev" || strings.HasPrefix(m[0], "/dev/"); !device && !slices.Contains(options, "nodev") || !slices.Contains(options, "nosuid") {
			t.Errorf("%s is mounted with %s", m[0], m[1])
		}
	}
}
