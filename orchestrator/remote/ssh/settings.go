package ssh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/kevinburke/ssh_config"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/ainur-faas/ainur/hcl/spec"
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

// configuration is the keywords of ssh_config(5) that matter, in lower case, as they
// hold for one host.
type configuration map[string][]string

func (c configuration) one(keyword string) string {
	if len(c[keyword]) == 0 {
		return ""
	}
	return c[keyword][0]
}

// resolve combines a block with the configuration of OpenSSH.
func resolve(ctx context.Context, address string, s spec.SSH) (*settings, []string, error) {
	config, warnings, err := configOf(ctx, address, s)
	if err != nil {
		return nil, nil, err
	}
	r, err := combine(address, s, config)
	return r, warnings, err
}

func combine(address string, s spec.SSH, config configuration) (*settings, error) {
	r := &settings{SSH: s, host: address}
	if name := config.one("hostname"); name != "" {
		r.host = name
	}
	r.alias = config.one("hostkeyalias")
	if r.User == "" {
		r.User = config.one("user")
	}
	if r.User == "" {
		current, err := user.Current()
		if err != nil {
			return nil, err
		}
		r.User = current.Username
	}
	if r.Port == 0 {
		r.Port, _ = strconv.Atoi(config.one("port")) // 0 where it says nothing
	}
	if r.Port == 0 {
		r.Port = 22
	}
	only := len(s.Identity) > 0 || config.one("identitiesonly") == "yes"
	if s.IdentitiesOnly != nil {
		only = *s.IdentitiesOnly
	}
	r.IdentitiesOnly = &only
	if r.explicit = len(r.Identity) > 0; !r.explicit {
		r.Identity = config["identityfile"]
	}
	r.certificates = config["certificatefile"]
	r.agent = agentOf(s.Agent, config.one("identityagent"))
	r.jump = s.ProxyJump
	if jump := config.one("proxyjump"); s.ProxyJump == nil && jump != "" && jump != "none" {
		r.jump = strings.Split(jump, ",")
	}
	if command := config.one("proxycommand"); len(r.jump) == 0 && s.ProxyJump == nil && command != "none" {
		r.proxy = strings.NewReplacer("%h", r.host, "%p", strconv.Itoa(r.Port), "%r", r.User, "%n", address, "%%", "%").Replace(command)
	}
	r.knownHosts = knownFiles(s.KnownHosts, config)
	for _, list := range []*[]string{&r.Identity, &r.certificates, &r.knownHosts} {
		absolute := make([]string, len(*list))
		for i, path := range *list {
			absolute[i] = home(path)
		}
		*list = absolute
	}
	return r, nil
}

func knownFiles(given string, config configuration) []string {
	if given != "" {
		return []string{given}
	}
	files := append(words(config["userknownhostsfile"]), words(config["globalknownhostsfile"])...)
	if len(files) == 0 {
		files = []string{"~/.ssh/known_hosts", "~/.ssh/known_hosts2", "/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"}
	}
	return files
}

func words(values []string) (all []string) {
	for _, v := range values {
		all = append(all, strings.Fields(v)...)
	}
	return all
}

// agentOf is the socket of the agent to ask, "" is none.
func agentOf(given, configured string) string {
	switch {
	case given == "none" || given == "auto" && configured == "none":
		return ""
	case given != "auto":
		return home(given)
	case configured != "" && configured != "SSH_AUTH_SOCK":
		return home(os.ExpandEnv(configured))
	}
	return os.Getenv("SSH_AUTH_SOCK")
}

// home is a path with ~ resolved.
func home(path string) string {
	rest, ok := strings.CutPrefix(path, "~/")
	if !ok {
		return path
	}
	dir, err := os.UserHomeDir()
	if err != nil {
		return path
	}
	return filepath.Join(dir, rest)
}

// configOf asks ssh itself where it is installed, and reads the files otherwise.
func configOf(ctx context.Context, address string, s spec.SSH) (configuration, []string, error) {
	if s.Config == "none" {
		return configuration{}, nil, nil
	}
	program, err := exec.LookPath("ssh")
	if err != nil {
		return readFiles([]string{home(s.Config), "/etc/ssh/ssh_config"}, address)
	}
	args := []string{"-G"}
	if s.Config != "" && s.Config != "~/.ssh/config" { // which replaces that of the system, too
		args = append(args, "-F", home(s.Config))
	}
	if s.User != "" {
		args = append(args, "-l", s.User)
	}
	if s.Port != 0 {
		args = append(args, "-p", strconv.Itoa(s.Port))
	}
	if strings.HasPrefix(address, "-") {
		return nil, nil, fmt.Errorf("%q is no address", address)
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, program, append(args, "--", address)...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, nil, fmt.Errorf("read the configuration of OpenSSH: %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	config := configuration{}
	for text := range strings.Lines(string(out)) {
		keyword, value, _ := strings.Cut(strings.TrimSpace(text), " ")
		config[keyword] = append(config[keyword], value)
	}
	return config, nil, nil
}

// keywords are those that readFiles asks for.
var keywords = []string{
	"HostName", "User", "Port", "IdentityFile", "IdentitiesOnly", "IdentityAgent", "CertificateFile", "ProxyJump", "ProxyCommand",
	"UserKnownHostsFile", "GlobalKnownHostsFile", "HostKeyAlias",
}

// hostLine is one whose patterns may be in quotes, which the library takes for a part of them.
var hostLine = regexp.MustCompile(`(?mi)^[ \t]*host[ \t=].*$`)

func unquoted(line []byte) []byte { return bytes.ReplaceAll(line, []byte(`"`), nil) }

// readFiles reads configurations one after the other; the first value wins. What
// cannot be read of another than the first, the user's own, is a warning.
func readFiles(files []string, address string) (configuration, []string, error) {
	config := configuration{}
	var warnings []string
	for i, path := range files {
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var parsed *ssh_config.Config
		if err == nil {
			parsed, err = ssh_config.DecodeBytes(hostLine.ReplaceAllFunc(content, unquoted))
		}
		if err != nil && i > 0 {
			warnings = append(warnings, fmt.Sprintf("%s is left out: %v", path, err))
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("read %s: %w", path, err)
		}
		for _, keyword := range keywords {
			values, err := parsed.GetAll(address, keyword)
			if err != nil {
				return nil, nil, fmt.Errorf("read %s: %w", path, err)
			}
			key := strings.ToLower(keyword)
			if len(config[key]) == 0 {
				config[key] = values
			}
		}
	}
	for i, name := range config["hostname"] {
		config["hostname"][i] = strings.NewReplacer("%h", address, "%%", "%").Replace(name)
	}
	return config, warnings, nil
}
