package ssh

import (
	"cmp"
	"context"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/remote/sshconfig"
)

// settings are how one host is reached, from its block and the configuration of OpenSSH.
type settings struct {
	spec.SSH
	host         string // to connect to
	alias        string // as known_hosts has it, "" is host
	explicit     bool   // the identity is given, not configured
	agent        string // socket, "" is none
	certificates []string
	knownHosts   []string // the first is the user's own
	jump         []string // user@host:port
	proxy        string   // command whose standard input and output are the connection
}

// address is where the host listens.
func (s *settings) address() string { return net.JoinHostPort(s.host, strconv.Itoa(s.Port)) }

// name is that of the host in known_hosts.
func (s *settings) name() string {
	if s.alias != "" {
		return s.alias
	}
	return knownhosts.Normalize(s.address())
}

// bare is its name without the port, "" where that adds nothing.
func (s *settings) bare() string {
	if s.alias != "" || s.Port == 22 {
		return ""
	}
	return s.host
}

// resolve combines a block with the configuration of OpenSSH, which ssh itself is
// asked for where it is installed.
func resolve(ctx context.Context, address string, s spec.SSH) (*settings, []string, error) {
	self, err := user.Current()
	if err != nil {
		return nil, nil, err
	}
	q := sshconfig.Query{Host: address, User: s.User, LocalUser: self.Username, Home: self.HomeDir}
	if home, err := os.UserHomeDir(); err == nil {
		q.Home = home
	}
	var config sshconfig.Values
	var warnings []string
	program, absent := exec.LookPath("ssh")
	switch {
	case s.Config == "none":
	case absent != nil:
		config, warnings, err = sshconfig.Read(home(s.Config, q.Home), "/etc/ssh/ssh_config", q)
	case s.Config == "" || s.Config == "~/.ssh/config": // and that of the system
		config, err = sshconfig.Ask(ctx, program, "", q, s.Port)
	default:
		config, err = sshconfig.Ask(ctx, program, home(s.Config, q.Home), q, s.Port)
	}
	if err != nil {
		return nil, nil, err
	}
	return combine(q, s, config), warnings, nil
}

// combine fills in what a block does not say.
func combine(q sshconfig.Query, s spec.SSH, config sshconfig.Values) *settings {
	r := &settings{SSH: s, host: q.Host}
	if name := config.One("hostname"); name != "" {
		r.host = name
	}
	r.alias = config.One("hostkeyalias")
	if r.User == "" {
		r.User = config.One("user")
	}
	if r.User == "" {
		r.User = q.LocalUser
	}
	if r.Port == 0 {
		r.Port, _ = strconv.Atoi(config.One("port")) // 0 where it says nothing
	}
	if r.Port == 0 {
		r.Port = 22
	}
	only := len(s.Identity) > 0 || config.One("identitiesonly") == "yes"
	if s.IdentitiesOnly != nil {
		only = *s.IdentitiesOnly
	}
	r.IdentitiesOnly = &only
	if r.explicit = len(r.Identity) > 0; !r.explicit {
		r.Identity = config["identityfile"]
	}
	r.certificates = config["certificatefile"]
	r.jump = s.ProxyJump
	if jump := config.One("proxyjump"); s.ProxyJump == nil && jump != "" && jump != "none" {
		r.jump = strings.Split(jump, ",")
	}
	expand := r.tokens(q).Replace
	if command := config.One("proxycommand"); len(r.jump) == 0 && s.ProxyJump == nil && command != "none" {
		r.proxy = expand(command)
	}
	r.agent = agentOf(s.Agent, expand(config.One("identityagent")), q.Home)
	r.knownHosts = knownFiles(s.KnownHosts, config)
	for _, list := range []*[]string{&r.Identity, &r.certificates, &r.knownHosts} {
		files := make([]string, len(*list))
		for i, path := range *list {
			files[i] = expand(home(path, q.Home))
		}
		*list = files
	}
	return r
}

// tokens are those of ssh_config(5) that say which host and user it is.
func (s *settings) tokens(q sshconfig.Query) *strings.Replacer {
	machine, err := os.Hostname()
	if err != nil {
		machine = "localhost"
	}
	short, _, _ := strings.Cut(machine, ".")
	return strings.NewReplacer(
		"%%", "%", "%h", s.host, "%p", strconv.Itoa(s.Port), "%r", s.User, "%n", q.Host, "%u", q.LocalUser,
		"%d", q.Home, "%l", machine, "%L", short, "%i", strconv.Itoa(os.Getuid()), "%k", cmp.Or(s.alias, q.Host),
	)
}

func knownFiles(given string, config sshconfig.Values) []string {
	if given != "" {
		return []string{given}
	}
	files := slices.DeleteFunc(slices.Concat(config["userknownhostsfile"], config["globalknownhostsfile"]), func(f string) bool { return f == "none" })
	if len(files) == 0 {
		files = []string{"~/.ssh/known_hosts", "~/.ssh/known_hosts2", "/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"}
	}
	return files
}

// agentOf is the socket of the agent to ask, "" is none.
func agentOf(given, configured, dir string) string {
	switch {
	case given == "none" || given == "auto" && configured == "none":
		return ""
	case given != "auto":
		return home(given, dir)
	case configured != "" && configured != "SSH_AUTH_SOCK":
		return home(os.ExpandEnv(configured), dir)
	}
	return os.Getenv("SSH_AUTH_SOCK")
}

// home is a path with ~ resolved.
func home(path, dir string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		return filepath.Join(dir, rest)
	}
	return path
}
