package ssh

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the format's own
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/ainur-faas/ainur/orchestrator/remote/sshconfig"
)

// known is what the known_hosts files say of one host.
type known struct {
	keys        []knownKey // of the host
	bare        []knownKey // of its name without the port, where another may listen
	authorities []knownKey // that may certify it
	revoked     []knownKey
	warnings    []string // of lines that cannot be read
}

type knownKey struct {
	ssh.PublicKey
	file string
	line int
}

func (k knownKey) at() string { return fmt.Sprintf("%s:%d", k.file, k.line) }

// readKnown reads what files say of a host, by its name in known_hosts and by its
// bare one. A file that is not there says nothing, and neither does a line that
// cannot be read.
func readKnown(files []string, name, bare string) (k known, err error) {
	for _, file := range files {
		content, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return k, err
		}
		n := 0
		for line := range bytes.Lines(content) {
			n++
			k.add(file, n, bytes.TrimSpace(line), name, bare)
		}
	}
	return k, nil
}

func (k *known) add(file string, n int, line []byte, name, bare string) {
	if len(line) == 0 || line[0] == '#' {
		return
	}
	marker, hosts, key, _, _, err := ssh.ParseKnownHosts(line)
	if err != nil {
		k.warnings = append(k.warnings, fmt.Sprintf("%s:%d is left out: %v", file, n, err))
		return
	}
	found := knownKey{key, file, n}
	named := matches(hosts, name)
	switch {
	case !named && (bare == "" || !matches(hosts, bare)):
	case marker == "revoked":
		k.revoked = append(k.revoked, found)
	case marker == "" && !named:
		k.bare = append(k.bare, found)
	case marker == "":
		k.keys = append(k.keys, found)
	case marker == "cert-authority" && named:
		k.authorities = append(k.authorities, found)
	}
}

// matches reports whether patterns of known_hosts fit a name.
func matches(patterns []string, name string) bool {
	fits := false
	for _, p := range patterns {
		p, negated := strings.CutPrefix(p, "!")
		var one bool
		if strings.HasPrefix(p, "|1|") {
			one = hashed(p, name)
		} else {
			one = sshconfig.Fit(strings.ToLower(p), strings.ToLower(name))
		}
		if one && negated {
			return false
		}
		fits = fits || one
	}
	return fits
}

// hashed reports whether |1|salt|hash is that of a name.
func hashed(pattern, name string) bool {
	salt, hash, ok := strings.Cut(strings.TrimPrefix(pattern, "|1|"), "|")
	key, err := base64.StdEncoding.DecodeString(salt)
	want, err2 := base64.StdEncoding.DecodeString(hash)
	if !ok || err != nil || err2 != nil {
		return false
	}
	mac := hmac.New(sha1.New, key)
	mac.Write([]byte(name))
	return hmac.Equal(mac.Sum(nil), want)
}

// algorithms are those to ask a host for, in order: of its keys on file, or given,
// then the others, so that one with another key is known as that. Without are types
// that it has shown a wrong key of.
func (k known) algorithms(given []ssh.PublicKey, without []string) (all []string) {
	if len(k.authorities) > 0 {
		all = append(all, ssh.CertAlgoED25519v01, ssh.CertAlgoECDSA256v01, ssh.CertAlgoECDSA384v01, ssh.CertAlgoECDSA521v01, ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSASHA256v01)
	}
	types := []string{}
	for _, key := range slices.Concat(k.keys, k.bare) {
		types = append(types, key.Type())
	}
	for _, key := range given {
		types = append(types, key.Type())
	}
	types = append(types, ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSA)
	for i, t := range types {
		if !slices.Contains(types[:i], t) && !slices.Contains(without, t) {
			all = append(all, expand(t)...)
		}
	}
	return all
}

// expand is the algorithms that keys of a type sign with; never SHA-1.
func expand(keyType string) []string {
	if keyType == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{keyType}
}

// errUnknownKey is a host of which no key is on file.
var errUnknownKey = errors.New("no key of it is on file")

// check says why a key that a host shows is not to be trusted, errUnknownKey where
// nothing speaks against it.
func (k known) check(name string, key ssh.PublicKey) error {
	for _, revoked := range k.revoked {
		if same(revoked, key) {
			return fmt.Errorf("its key %s is revoked at %s", ssh.FingerprintSHA256(key), revoked.at())
		}
	}
	if _, ok := key.(*ssh.Certificate); ok {
		checker := ssh.CertChecker{
			IsHostAuthority: func(authority ssh.PublicKey, _ string) bool {
				return slices.ContainsFunc(k.authorities, func(a knownKey) bool { return same(a, authority) })
			},
			IsRevoked: func(c *ssh.Certificate) bool {
				return slices.ContainsFunc(k.revoked, func(r knownKey) bool { return same(r, c.SignatureKey) || same(r, c.Key) })
			},
		}
		host, _, err := net.SplitHostPort(name)
		if err != nil {
			host = name
		}
		if err := checker.CheckHostKey(net.JoinHostPort(strings.Trim(host, "[]"), "22"), nil, key); err != nil {
			return fmt.Errorf("its certificate is not good: %w", err)
		}
		return nil
	}
	for _, on := range slices.Concat(k.keys, k.bare) {
		if same(on, key) {
			return nil
		}
	}
	if len(k.keys) == 0 {
		return errUnknownKey
	}
	on := k.keys[0]
	return fmt.Errorf("its key is %s %s, and %s has another (%s): somebody may be in between, or the host was installed anew; if you know that it was, run: ssh-keygen -R %s -f %s",
		key.Type(), ssh.FingerprintSHA256(key), on.at(), ssh.FingerprintSHA256(on), name, on.file)
}

func same(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }

// unpinnedError is a key that is none of those given.
type unpinnedError struct{ key ssh.PublicKey }

func (e *unpinnedError) Error() string {
	return fmt.Sprintf("its key %s %s is none of host_keys", e.key.Type(), ssh.FingerprintSHA256(e.key))
}

// pinned says why a key is not one of those given, as in authorized_keys or as fingerprints.
func pinned(given []string, key ssh.PublicKey) error {
	if slices.Contains(given, ssh.FingerprintSHA256(key)) || slices.ContainsFunc(whole(given), func(k ssh.PublicKey) bool { return same(k, key) }) {
		return nil
	}
	return &unpinnedError{key}
}

// whole are the keys that are given as such.
func whole(given []string) (keys []ssh.PublicKey) {
	for _, g := range given {
		if key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(g)); err == nil {
			keys = append(keys, key)
		}
	}
	return keys
}
