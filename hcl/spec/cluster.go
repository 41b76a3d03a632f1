package spec

import "time"

// Cluster is a set of hosts. How they are reached and where ainur is put on them
// is no part of the experiment, and in no document of it.
type Cluster struct {
	Name    string  `json:"name"`
	Hosts   []Host  `json:"hosts"`
	Tune    *Tune   `json:"tune,omitempty"` // nil: the hosts stay as they are
	Become  Become  `json:"-"`
	Install Install `json:"-"`
}

// Host is one machine.
type Host struct {
	Name            string            `json:"name"`
	Address         string            `json:"address"`
	Connection      string            `json:"connection"`                 // "ssh", "local" or "netns"
	InternalAddress string            `json:"internal_address,omitempty"` // where other hosts reach it; "" is Address
	NIC             string            `json:"nic,omitempty"`              // interface of the experiment's traffic
	Roles           []string          `json:"roles,omitempty"`
	Labels          map[string]string `json:"labels,omitempty"`
	SSH             SSH               `json:"-"`
}

// Internal is the address at which other hosts reach h.
func (h Host) Internal() string {
	if h.InternalAddress != "" {
		return h.InternalAddress
	}
	return h.Address
}

// SSH is how a host is reached. Where the zero value says so, the configuration of
// OpenSSH decides.
type SSH struct {
	User           string   // "": of the configuration, else the current one
	Port           int      // 0: of the configuration, else 22
	Config         string   // path of the configuration, or "none"
	Identity       []string // private key files; nil: of the configuration
	IdentitiesOnly *bool    // nil: true with Identity, else of the configuration
	Agent          string   // "auto", "none" or the path of a socket
	ProxyJump      []string // nil: of the configuration; empty: none
	KnownHosts     string   // "": of the configuration
	HostKey        string   // "strict", "accept_new" or "pinned"
	HostKeys       []string // of HostKey pinned: keys as in authorized_keys, or SHA256: fingerprints
	Connect        time.Duration
	Handshake      time.Duration
	Keepalive      time.Duration // between two probes
	KeepaliveMax   int           // probes without an answer
	CommandTimeout time.Duration
	MaxSessions    int // at a time over one connection
	Retries        int // of connecting
	Compress       bool
}

// Become is how to get root on a host. The zero value is not at all: the user who
// connects is root, or is not needed to be.
type Become struct {
	Method   string  // "sudo", "doas" or "none"
	User     string  // who to become
	Password *Secret // nil: none is asked for
}

// Secret is where something is to be had that is never stored nor shown. The first
// that is given, in this order, decides.
type Secret struct {
	Name    string
	Env     string   // environment variable; unset counts as not given
	File    string   // path
	Command []string // whose output it is
	Prompt  string   // question for the terminal
}

// Install is where ainur is put on hosts.
type Install struct {
	Packages bool   // install containerd and an OCI runtime
	Prefix   string // of programs
	StateDir string
	RunAs    string // user of the agents; "" is the one that connects, after Become
	Via      string // "systemd", "process" or "auto"
}

// Tune is settings of hosts for the time of a run. What is zero stays as it is.
type Tune struct {
	Governor      string `json:"governor,omitempty"` // of cpufreq
	Turbo         *bool  `json:"turbo,omitempty"`
	SMT           string `json:"smt,omitempty"` // "on" or "off"
	THP           string `json:"thp,omitempty"` // transparent huge pages: "always", "madvise" or "never"
	NUMABalancing *bool  `json:"numa_balancing,omitempty"`
	Swap          *bool  `json:"swap,omitempty"`
	IRQBalance    *bool  `json:"irqbalance,omitempty"`
	ASLR          *bool  `json:"aslr,omitempty"`
	IsolCPUs      string `json:"isolcpus,omitempty"` // checked only: the kernel's command line must have it
	Restore       bool   `json:"restore"`            // as it was, after the run
}

// Requirement is what must hold of hosts before anything runs, or is only checked.
type Requirement struct {
	Name    string `json:"name"`
	Check   bool   `json:"check,omitempty"` // it stops nothing
	Holds   bool   `json:"holds"`
	Message string `json:"message,omitempty"` // where it does not hold
	Fix     string `json:"fix,omitempty"`     // the command that mends it
}
