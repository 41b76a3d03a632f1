// Package mtls is how the daemons of a deployment trust one another: each shows a
// certificate of the deployment's own authority, and takes no other. Which of its
// hosts it is does not matter: each may do all, and has an address that its
// certificate, made for a name, need not know.
package mtls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// The files of a folder that Load reads.
const (
	AuthorityFile   = "ca.pem"   // certificate of the authority
	CertificateFile = "cert.pem" // of this host
	KeyFile         = "key.pem"  // of this host, for its owner alone
)

// Encrypts reports whether daemons with this folder encrypt what they say.
func Encrypts(dir string) bool {
	if dir == "" {
		return false
	}
	_, err := os.Stat(filepath.Join(dir, CertificateFile))
	return err == nil
}

// Load reads what a host shows and whom it trusts: for its servers, and for its
// clients. A folder with a token is for daemons of one host, which do not encrypt; without a
// folder nobody is asked who they are either.
func Load(dir string) (serve, connect credentials.TransportCredentials, err error) {
	if dir == "" {
		return insecure.NewCredentials(), insecure.NewCredentials(), nil
	}
	switch t, err := readToken(filepath.Join(dir, TokenFile)); {
	case err == nil:
		return t, t, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, nil, fmt.Errorf("read token of this host: %w", err)
	}
	own, err := tls.LoadX509KeyPair(filepath.Join(dir, CertificateFile), filepath.Join(dir, KeyFile))
	if err != nil {
		return nil, nil, fmt.Errorf("read certificate of this host: %w", err)
	}
	text, err := os.ReadFile(filepath.Join(dir, AuthorityFile))
	if err != nil {
		return nil, nil, fmt.Errorf("read certificate of the authority: %w", err)
	}
	authority := x509.NewCertPool()
	if !authority.AppendCertsFromPEM(text) {
		return nil, nil, fmt.Errorf("read certificate of the authority: %s has none", filepath.Join(dir, AuthorityFile))
	}
	config := tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{own},
		RootCAs: authority, ClientCAs: authority, ClientAuth: tls.RequireAndVerifyClientCert,
	}
	client := config.Clone()
	client.InsecureSkipVerify = true // of the name alone: VerifyConnection checks the rest
	client.VerifyConnection = func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 {
			return errors.New("the other end shows no certificate")
		}
		_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: authority})
		return err
	}
	return credentials.NewTLS(config.Clone()), credentials.NewTLS(client), nil
}
