package ssh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// keys are the private keys of this user, read and decrypted once for all hosts.
type keys struct {
	// prompt asks for a passphrase; nil: there is nobody to ask.
	prompt func(ctx context.Context, question string) (string, error)
	mu     sync.Mutex
	files  map[string]keyFile
	agents map[string]*agentConn
}

// keyFile is what came of a file.
type keyFile struct {
	signer ssh.Signer
	err    error // a passphrase is asked for once, also where it is not right
}

// agentConn is a connection to an agent that does not wait for its answer for ever.
type agentConn struct {
	net.Conn
	agent.ExtendedAgent
}

// agentPatience is how long an agent may take: somebody may have to touch a key.
const agentPatience = 30 * time.Second

type patient struct{ net.Conn }

func (p patient) Write(b []byte) (int, error) {
	if err := p.SetDeadline(time.Now().Add(agentPatience)); err != nil {
		return 0, err
	}
	return p.Conn.Write(b)
}

// signers are the keys to offer to a host, in order: its identity files, those of
// the agent that these name, the other keys of the agent, the files that everybody
// has. A server counts what it is offered and refuses after a few.
func (k *keys) signers(ctx context.Context, s *settings) ([]ssh.Signer, error) {
	var all []ssh.Signer
	for _, path := range s.Identity {
		signer, err := k.file(ctx, path)
		if errors.Is(err, fs.ErrNotExist) && (!s.explicit || exists(path+".pub")) {
			continue // the configuration names files that need not be there, and an agent may have the key
		}
		if err != nil {
			return nil, err
		}
		all = append(all, signer)
		for _, path := range append([]string{path + "-cert.pub"}, s.certificates...) {
			if certified, err := certify(path, signer); err == nil {
				all = slices.Insert(all, len(all)-1, certified)
			}
		}
	}
	offered, err := k.agent(s.agent)
	if err != nil && len(all) == 0 {
		return nil, err
	}
	for _, signer := range offered {
		if !*s.IdentitiesOnly || named(s.Identity, signer.PublicKey()) {
			all = append(all, signer)
		}
	}
	return slices.CompactFunc(all, func(a, b ssh.Signer) bool { return same(a.PublicKey(), b.PublicKey()) }), nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// named reports whether a public key lies beside one of these files.
func named(files []string, key ssh.PublicKey) bool {
	for _, path := range files {
		content, err := os.ReadFile(path + ".pub")
		if err != nil {
			continue
		}
		if public, _, _, _, err := ssh.ParseAuthorizedKey(content); err == nil && same(public, key) {
			return true
		}
	}
	return false
}

// certify is a signer with the certificate in a file, if that is of its key.
func certify(path string, signer ssh.Signer) (ssh.Signer, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	public, _, _, _, err := ssh.ParseAuthorizedKey(content)
	if err != nil {
		return nil, err
	}
	cert, ok := public.(*ssh.Certificate)
	if !ok || !bytes.Equal(cert.Key.Marshal(), signer.PublicKey().Marshal()) {
		return nil, errors.New("not a certificate of this key")
	}
	return ssh.NewCertSigner(cert, signer)
}

// file is the private key in a file.
func (k *keys) file(ctx context.Context, path string) (ssh.Signer, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f, again := k.files[path]
	if again {
		return f.signer, f.err
	}
	f.signer, f.err = k.read(ctx, path)
	if ctx.Err() == nil && !errors.Is(f.err, fs.ErrNotExist) {
		if k.files == nil {
			k.files = map[string]keyFile{}
		}
		k.files[path] = f
	}
	return f.signer, f.err
}

// read decrypts a private key, where it has to be.
func (k *keys) read(ctx context.Context, path string) (ssh.Signer, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.ParsePrivateKey(content)
	var encrypted *ssh.PassphraseMissingError
	if errors.As(err, &encrypted) {
		if k.prompt == nil {
			return nil, fmt.Errorf("key %s has a passphrase: add it to an agent with ssh-add", path)
		}
		var passphrase string
		if passphrase, err = k.prompt(ctx, fmt.Sprintf("Passphrase of %s: ", path)); err == nil {
			signer, err = ssh.ParsePrivateKeyWithPassphrase(content, []byte(passphrase))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", path, err)
	}
	return signer, nil
}

// agent is the keys that the agent at a socket has.
func (k *keys) agent(socket string) ([]ssh.Signer, error) {
	if socket == "" {
		return nil, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for again := range 2 {
		a := k.agents[socket]
		if a == nil {
			conn, err := net.Dial("unix", socket)
			if err != nil {
				return nil, fmt.Errorf("ask the agent: %w", err)
			}
			a = &agentConn{conn, agent.NewClient(patient{conn})}
			if k.agents == nil {
				k.agents = map[string]*agentConn{}
			}
			k.agents[socket] = a
		}
		signers, err := a.Signers()
		if err == nil {
			return signers, nil
		}
		delete(k.agents, socket) // it may have been started anew
		_ = a.Close()            // it is of no use any more
		if again > 0 {
			return nil, fmt.Errorf("ask the agent: %w", err)
		}
	}
	return nil, nil
}

func (k *keys) close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	var errs []error
	for _, a := range k.agents {
		errs = append(errs, a.Close())
	}
	k.agents, k.files = nil, nil
	return errors.Join(errs...)
}
