package hcl_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ainur-faas/ainur/hcl/spec"
)

// TestClusters: what is said of a host comes before its ssh block, and that before
// the ssh block of the cluster; what nobody says is left to the configuration of OpenSSH.
func TestClusters(t *testing.T) {
	m, diags := load(t, `
secret "sudo" { env = "SUDO" }
cluster "lab" {
  ssh {
    user       = "faas"
    port       = 2222
    proxy_jump = ["gate"]
    connect    = "3s"
  }
  become {
    method   = "sudo"
    password = secret.sudo
  }
  install { prefix = "/srv/ainur" }
  host "a" { address = "10.0.0.1" }
  host "b" {
    address = "10.0.0.2"
    user    = "root"
    ssh {
      user            = "ignored"
      identities_only = true
      retries         = 0
    }
  }
  host "here" {
    address    = "127.0.0.1"
    connection = "local"
  }
}
worker "w" { on = cluster.lab.host.a }
function "f" {
  builtin = "hello"
  memory  = "64MiB"
}
load "l" {
  target   = worker.w
  call     = function.f
  duration = "1s"
  arrival "constant" { rate = "1/s" }
}
experiment "e" {
  title   = "E"
  cluster = cluster.lab
  worker  = worker.w
  load    = load.l
}
`)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	got, diags := m.Clusters("")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	yes := true
	common := spec.SSH{
		User: "faas", Port: 2222, Config: "~/.ssh/config", Agent: "auto", ProxyJump: []string{"gate"}, HostKey: "strict", HostKeys: []string{},
		Connect: 3 * time.Second, Handshake: 15 * time.Second, Keepalive: 15 * time.Second, KeepaliveMax: 3, CommandTimeout: 10 * time.Minute, MaxSessions: 8, Retries: 3,
	}
	own := common
	own.User, own.IdentitiesOnly, own.Retries = "root", &yes, 0
	want := []spec.Cluster{{
		Name: "lab",
		Hosts: []spec.Host{
			{Name: "a", Address: "10.0.0.1", Connection: "ssh", Roles: []string{}, Labels: map[string]string{}, SSH: common},
			{Name: "b", Address: "10.0.0.2", Connection: "ssh", Roles: []string{}, Labels: map[string]string{}, SSH: own},
			{Name: "here", Address: "127.0.0.1", Connection: "local", Roles: []string{}, Labels: map[string]string{}},
		},
		Become:  spec.Become{Method: "sudo", User: "root", Password: &spec.Secret{Name: "sudo", Env: "SUDO"}},
		Install: spec.Install{Prefix: "/srv/ainur", StateDir: "/var/lib/ainur", Via: "auto"},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("-want +got:\n" + diff)
	}
}

// TestInstallFolder: where ainur goes on a host is one absolute path, for every shell too.
func TestInstallFolder(t *testing.T) {
	for install, says := range map[string]string{
		`prefix = "opt"`:            "prefix cannot be",
		`prefix = "/opt/a b"`:       "prefix cannot be",
		`state_dir = "/srv/*"`:      "state_dir cannot be",
		`state_dir = "/srv/a\nb"`:   "state_dir cannot be",
		`prefix = "/srv/ainur-1.0"`: "",
	} {
		m, diags := load(t, `
cluster "lab" {
  install { `+install+` }
  host "a" { address = "h" }
}
worker "w" { on = cluster.lab.host.a }
function "f" {
  builtin = "hello"
  memory  = "64MiB"
}
load "l" {
  target   = worker.w
  call     = function.f
  duration = "1s"
  arrival "constant" { rate = "1/s" }
}
experiment "e" {
  title   = "E"
  cluster = cluster.lab
  worker  = worker.w
  load    = load.l
}
`)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		_, diags = m.Clusters("e")
		if says == "" && diags.HasErrors() || !strings.Contains(diags.Error(), says) {
			t.Errorf("%s: got %v, want %q", install, diags, says)
		}
	}
}
