// Package setup is what a host is to have for a deployment: how it differs from what
// is there, the changes that make it so, and their undoing.
package setup

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ainur-faas/ainur/internal/mtls"
	"github.com/ainur-faas/ainur/orchestrator/facts"
	"github.com/ainur-faas/ainur/orchestrator/node"
)

// Layout is where things of a deployment are on a host.
type Layout struct {
	Deployment string `json:"deployment"`
	Prefix     string `json:"prefix"`    // of programs
	StateDir   string `json:"state_dir"` // of what they keep
}

// Root is the folder of the deployment's programs. It is all ours.
func (l Layout) Root() string { return filepath.Join(l.Prefix, l.Deployment) }

// Binary is the program.
func (l Layout) Binary() string { return filepath.Join(l.Root(), "bin", "ainur") }

// Home is the folder of the deployment's state. It is all ours.
func (l Layout) Home() string { return filepath.Join(l.StateDir, l.Deployment) }

// Manifest is the file that says what is ours on the host.
func (l Layout) Manifest() string { return filepath.Join(l.Home(), "manifest.json") }

// Node is the folder of the supervisor.
func (l Layout) Node() string { return filepath.Join(l.Home(), "node") }

// Config is the file that the supervisor reads, and Log the one that it writes.
func (l Layout) Config() string { return filepath.Join(l.Home(), "supervisor.json") }

// Log is what the supervisor has said.
func (l Layout) Log() string { return filepath.Join(l.Home(), "supervisor.log") }

// volatile is the folder of those of all deployments that do not outlive a boot.
const volatile = "/run/ainur"

// Run is the folder of what does not outlive a boot. It is all ours.
func (l Layout) Run() string { return filepath.Join(volatile, l.Deployment) }

// TLS is the folder of certificates and the host's key.
func (l Layout) TLS() string { return filepath.Join(l.Run(), "tls") }

// Socket is where the supervisor answers on its host.
func (l Layout) Socket() string { return filepath.Join(l.Run(), "supervisor.sock") }

// Unit is the file of the supervisor's unit, where systemd starts it. It is gone
// after a boot, as the certificates are.
func (l Layout) Unit() string { return "/run/systemd/system/" + l.unit() }

func (l Layout) unit() string { return "ainur-" + l.Deployment + ".service" }

// Temporary is what the topmost folder of the state is called while it comes or goes.
func (l Layout) Temporary() string { return ".ainur-" + l.Deployment + ".new" }

// Desired is what a host is to have.
type Desired struct {
	Layout
	Version   string    `json:"version"`            // of the program, to be shown
	SHA256    string    `json:"sha256"`             // of the program, hex
	Listen    string    `json:"listen"`             // host:port of the supervisor
	Authority []byte    `json:"authority"`          // certificate, PEM
	Names     []string  `json:"names"`              // of the host's certificate
	Via       string    `json:"via"`                // "systemd", "process" or "auto"
	Packages  []string  `json:"packages,omitempty"` // to be installed where they are missing
	Settings  []Setting `json:"settings,omitempty"`
}

// configText is the file that the supervisor reads.
func (d Desired) configText() string {
	text, err := json.Marshal(node.Config{
		Deployment: d.Deployment, Dir: d.Node(), Cache: filepath.Join(d.Home(), "cache"), Socket: d.Socket(), Listen: d.Listen, TLS: d.TLS(),
	})
	if err != nil {
		panic("setup: " + err.Error()) // it is plain text
	}
	return string(text) + "\n"
}

// unitText is the supervisor's unit.
func (d Desired) unitText() string {
	return `[Unit]
Description=ainur supervisor of deployment ` + d.Deployment + `

[Service]
Type=exec
ExecStart="` + d.Binary() + `" supervise "` + d.Config() + `"
Restart=no
KillMode=mixed
TimeoutStopSec=60
Delegate=yes
LimitNOFILE=1048576
TasksMax=infinity
OOMScoreAdjust=-500
StandardOutput=null
StandardError=append:` + d.Log() + `
`
}

// systemd reports whether systemd is to start the supervisor.
func (d Desired) systemd(h *facts.Host) bool {
	return d.Via == "systemd" || d.Via == "auto" && h.Systemd
}

// Query is what has to be known of the host.
func (d Desired) Query() facts.Query {
	q := d.Layout.Query()
	q.Packages = d.Packages
	for _, s := range d.Settings {
		q.Files = append(q.Files, s.Path)
	}
	return q
}

// Query is what has to be known of the host to undo all.
func (l Layout) Query() facts.Query {
	q := facts.Query{
		Deployment: l.Deployment, Program: l.Root(), Home: l.Home(), Programs: []string{"flock", "apt-get", "dnf", "zstd"},
		Files:  []string{l.Manifest(), l.Config(), l.Unit(), "/proc/swaps"},
		Exists: slices.Concat(traces, []string{filepath.Join(l.TLS(), mtls.KeyFile), l.Run(), l.Unit()}),
	}
	for _, name := range []string{mtls.AuthorityFile, mtls.CertificateFile} {
		q.Files = append(q.Files, filepath.Join(l.TLS(), name))
	}
	for _, folder := range []string{l.Home(), l.Root(), volatile} {
		q.Exists = append(q.Exists, chain(folder)...)
	}
	for _, folder := range chain(l.Home()) {
		q.Exists = append(q.Exists, l.temporaryBeside(folder))
	}
	return q
}

func (l Layout) temporaryBeside(folder string) string {
	return filepath.Join(filepath.Dir(folder), l.Temporary())
}

// chain is a folder and those that it is in, without the root, the topmost first.
func chain(folder string) (all []string) {
	for i := range strings.Split(strings.Trim(folder, "/"), "/") {
		all = append(all, "/"+strings.Join(strings.Split(strings.Trim(folder, "/"), "/")[:i+1], "/"))
	}
	return all
}
