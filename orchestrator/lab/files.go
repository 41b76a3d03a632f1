package lab

import (
	"crypto/ed25519"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
)

// source is of the mounts of labs' folders.
const source = "ainur-lab"

// makeDir makes the folder of the lab. All that the hosts write is in a tmpfs,
// which overlays take as what is above, and which is gone at once.
func (l *Lab) makeDir() error {
	if err := os.MkdirAll(filepath.Dir(l.Dir), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(l.Dir, 0o700); err != nil {
		return err
	}
	return mount(source, l.Dir, "tmpfs", 0, "mode=0700")
}

// writeFiles writes what a user needs to get into the hosts, and returns the
// private keys of the hosts by their names.
func (l *Lab) writeFiles() (hostKeys map[string][]byte, err error) {
	private, public, err := newKey("ainur-lab " + l.Name)
	if err != nil {
		return nil, err
	}
	hostKeys = map[string][]byte{}
	var known strings.Builder
	for _, h := range l.all() {
		key, public, err := newKey(h.Name)
		if err != nil {
			return nil, err
		}
		hostKeys[h.Name] = key
		fmt.Fprintf(&known, "%s,%v %s", h.Name, h.Address, public)
	}
	for _, f := range []struct {
		path, text string
	}{
		{l.Key, string(private)},
		{l.Key + ".pub", string(public)},
		{l.KnownHosts, known.String()},
		{l.Config, l.sshConfig()},
		{l.Cluster, l.cluster()},
	} {
		if err := os.WriteFile(f.path, []byte(f.text), 0o600); err != nil {
			return nil, err
		}
	}
	return hostKeys, nil
}

// newKey returns a key as OpenSSH writes it: the file, and the line of its public half.
func newKey(comment string) (private, public []byte, err error) {
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, nil, fmt.Errorf("make a key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(key, comment)
	if err != nil {
		return nil, nil, fmt.Errorf("write a key: %w", err)
	}
	line, err := ssh.NewPublicKey(pub)
	if err != nil {
		return nil, nil, fmt.Errorf("write a key: %w", err)
	}
	return pem.EncodeToMemory(block), ssh.MarshalAuthorizedKey(line), nil
}

func (l *Lab) sshConfig() string {
	var b strings.Builder
	for _, h := range l.all() {
		fmt.Fprintf(&b, "Host %s\n  HostName %v\n", h.Name, h.Address)
		if l.Bastion != nil && h != l.Bastion {
			fmt.Fprintf(&b, "  ProxyJump %s\n", l.Bastion.Name)
		}
	}
	fmt.Fprintf(&b, `Host *
  User root
  IdentityFile %s
  IdentitiesOnly yes
  UserKnownHostsFile %s
  GlobalKnownHostsFile none
  StrictHostKeyChecking yes
`, l.Key, l.KnownHosts)
	return b.String()
}

// cluster is the block of the language that describes the lab: the first host is
// for the balancer and the load, and the others, if any, are workers.
func (l *Lab) cluster() string {
	var b strings.Builder
	fmt.Fprintf(&b, `# The hosts of a lab on this machine, for an experiment in the same folder.
cluster %q {
  ssh {
    user        = "root"
    config      = "none"
    agent       = "none"
    identity    = [%q]
    known_hosts = %q
`, strings.ReplaceAll(l.Name, "-", "_"), l.Key, l.KnownHosts)
	if l.Bastion != nil {
		fmt.Fprintf(&b, "    proxy_jump  = [\"root@%v\"]\n", l.Bastion.Address)
	}
	b.WriteString(`  }

  become {
    method = "none"
  }

  install {
    via = "process"
  }
`)
	for n, h := range l.Hosts {
		roles := `["worker"]`
		switch {
		case len(l.Hosts) == 1:
			roles = `["balancer", "load", "worker"]`
		case n == 0:
			roles = `["balancer", "load"]`
		}
		fmt.Fprintf(&b, "\n  host %q {\n    address = %q\n    roles   = %s\n  }\n", h.Name, h.Address, roles)
	}
	b.WriteString("}\n")
	return b.String()
}

const sshdConfig = `HostKey /etc/ssh/ssh_host_ed25519_key
AuthorizedKeysFile .ssh/authorized_keys
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
StrictModes no
UsePAM no
UseDNS no
MaxStartups 200
MaxSessions 200
PidFile none
Subsystem sftp internal-sftp
`

const containerdConfig = `version = 2
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper"]
[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"
`

// etc returns the files of a host that differ from the machine's, by their paths.
func (l *Lab) etc(h *Host, hostKey []byte) (map[string]string, error) {
	id, err := newID()
	if err != nil {
		return nil, err
	}
	var hosts strings.Builder
	hosts.WriteString("127.0.0.1 localhost\n::1 localhost\n")
	for _, other := range l.all() {
		address := other.Address
		if other == l.Bastion && h != l.Bastion { // which the others see from behind
			address = gateway(l.Subnet)
		}
		fmt.Fprintf(&hosts, "%v %s\n", address, other.Name)
	}
	files := map[string]string{
		"/etc/hostname":                 h.Name + "\n",
		"/etc/hosts":                    hosts.String(),
		"/etc/machine-id":               id + "\n",
		"/etc/ssh/sshd_config":          sshdConfig,
		"/etc/ssh/ssh_host_ed25519_key": string(hostKey),
	}
	if l.containerd {
		files["/etc/containerd/config.toml"] = containerdConfig
	}
	if l.user == "" {
		return files, nil
	}
	for path, line := range map[string]string{
		"/etc/passwd": fmt.Sprintf("%s:x:%d:%d::/home/%s:/bin/bash\n", l.user, userID, userID, l.user),
		"/etc/group":  fmt.Sprintf("%s:x:%d:\n", l.user, userID),
		"/etc/shadow": l.user + ":*:20000:0:99999:7:::\n",
	} {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		files[path] = strings.TrimRight(string(text), "\n") + "\n" + line
	}
	files["/etc/sudoers.d/"+l.user] = l.user + " ALL=(ALL) NOPASSWD: ALL\n"
	return files, nil
}
