package scaffold

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/ainur-faas/ainur/hcl"
)

// whole checks that an inventory makes a valid experiment.
func whole(t *testing.T, file string, inv *Inventory, err error) {
	t.Helper()
	if err != nil {
		return
	}
	template, err := Find("cluster")
	if err != nil {
		t.Fatal(err)
	}
	e, err := template.New(inv)
	if err != nil {
		t.Fatal(err)
	}
	if got := hostsOf(t, file, e.Text); len(got) != len(inv.Hosts) {
		t.Errorf("%d of %d hosts\n%s", len(got), len(inv.Hosts), e.Text)
	}
}

func FuzzAnsible(f *testing.F) {
	f.Add([]byte(labINI), "hosts")
	f.Add([]byte(labYAML), "hosts.yml")
	f.Add([]byte("[g]\nn[1:999]-[a:f] a=\"${x}\" b=%{if} ansible_become=1\n"), "h")
	f.Add([]byte(`{"all": {"children": {"g": {"hosts": {"a": {"x": "\u0000"}}}}}}`), "h.json")
	f.Add([]byte("a: &a {vars: {x: &x 1}}\nb: {<<: *a, vars: *x, children: {a: *a}}\n"), "h.yaml")
	file := filepath.Join(f.TempDir(), "made"+hcl.Extension)
	f.Fuzz(func(t *testing.T, src []byte, name string) {
		if checkText(src) != nil || checkText([]byte(name)) != nil {
			return
		}
		inv, err := parseAnsible(src, name)
		if err == nil && len(inv.Hosts) > 50 {
			return // checked to be bounded; writing many takes its time
		}
		whole(t, file, inv, err)
	})
}

func FuzzSSHConfig(f *testing.F) {
	f.Add([]byte("Host a b*\n  HostName %h.org\n  User=x\n  Port 2222\nMatch all\n  ProxyJump a,b\n"))
	f.Add([]byte("Host \"a b\" ${x}\n\tIdentityFile ~/.ssh/%r\n\tCertificateFile c\n"))
	file := filepath.Join(f.TempDir(), "made"+hcl.Extension)
	f.Fuzz(func(t *testing.T, src []byte) {
		if checkText(src) != nil || bytes.Contains(bytes.ToLower(src), []byte("include")) {
			return // other files are no part of it
		}
		inv := &Inventory{From: "config"}
		err := inv.sshConfig(src, filepath.Dir(file), nil)
		whole(t, file, inv, err)
	})
}

func FuzzCloudLab(f *testing.F) {
	f.Add([]byte(rspec))
	file := filepath.Join(f.TempDir(), "made"+hcl.Extension)
	f.Fuzz(func(t *testing.T, src []byte) {
		if checkText(src) != nil {
			return
		}
		inv, err := parseCloudLab(src, "m.xml", "alice")
		whole(t, file, inv, err)
	})
}

func FuzzIluvatar(f *testing.F) {
	f.Add([]byte(workerJSON))
	f.Add([]byte(`{"container_resources": {"memory_mb": 1, "eviction": "${x}"}, "name": "%{", "invocation": {"queue_policies": {"cpu": "none"}}}`))
	file := filepath.Join(f.TempDir(), "made"+hcl.Extension)
	f.Fuzz(func(t *testing.T, src []byte) {
		values, err := flatten(src)
		if err != nil || checkText(src) != nil || !isWorker(values) {
			return
		}
		for i, v := range values {
			if v.key == "container_resources.memory_mb" {
				values[i].value = json.Number("2048") // enough for the function that is made up
			}
		}
		im := &importer{config: newSettings(values), folder: ".", read: []string{"worker.json"}}
		e, err := im.write()
		if err != nil {
			return
		}
		load(t, file, e.Text)
	})
}
