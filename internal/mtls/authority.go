package mtls

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"
)

// Authority issues the certificates of one deployment.
type Authority struct {
	Certificate []byte // PEM
	cert        *x509.Certificate
	key         *ecdsa.PrivateKey
}

// life is how long certificates are good for. They are made anew by whoever sets
// up hosts after half of it.
const life = 2 * 365 * 24 * time.Hour

// Early is how long before they are made certificates are valid: clocks differ.
const Early = time.Hour

// NewAuthority makes one. Whoever has its key can do all that ainur can on the hosts.
func NewAuthority(deployment string, now time.Time) (a *Authority, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	t := template("ainur deployment "+deployment, now)
	t.IsCA, t.BasicConstraintsValid, t.MaxPathLenZero = true, true, true
	t.KeyUsage = x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, t, t, private.Public(), private)
	if err != nil {
		return nil, nil, err
	}
	if key, err = keyPEM(private); err != nil {
		return nil, nil, err
	}
	a, err = ParseAuthority(certPEM(der), key)
	return a, key, err
}

// ParseAuthority is the authority with a certificate and a key, both PEM.
func ParseAuthority(certificate, key []byte) (*Authority, error) {
	c, _ := pem.Decode(certificate)
	k, _ := pem.Decode(key)
	if c == nil || k == nil {
		return nil, errors.New("the authority's certificate or key is not PEM")
	}
	cert, err := x509.ParseCertificate(c.Bytes)
	if err != nil {
		return nil, err
	}
	private, err := x509.ParsePKCS8PrivateKey(k.Bytes)
	if err != nil {
		return nil, err
	}
	signer, ok := private.(*ecdsa.PrivateKey)
	if !ok || !signer.PublicKey.Equal(cert.PublicKey) {
		return nil, errors.New("the authority's key is not that of its certificate")
	}
	return &Authority{Certificate: certificate, cert: cert, key: signer}, nil
}

// Issue makes the certificate of a host and its key, both PEM. Names are those by
// which others reach it: addresses or host names.
func (a *Authority) Issue(host string, names []string, now time.Time) (certificate, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	t := template(host, now)
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, private.Public(), a.key)
	if err != nil {
		return nil, nil, err
	}
	key, err = keyPEM(private)
	return certPEM(der), key, err
}

// Check says why a host's certificate is to be made anew: nil where it is good for all these
// names and by this authority, given by its certificate.
func Check(authority, certificate []byte, names []string, now time.Time) error {
	block, _ := pem.Decode(certificate)
	if block == nil {
		return errors.New("there is none")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return errors.New("the authority has no certificate")
	}
	usages := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: usages}); err != nil {
		return err
	}
	for _, name := range names {
		if err := cert.VerifyHostname(name); err != nil {
			return err
		}
	}
	if left := cert.NotAfter.Sub(now); left < life/2 {
		return fmt.Errorf("it ends in %d days", int(left.Hours()/24))
	}
	return nil
}

func template(name string, now time.Time) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		panic("mtls: " + err.Error()) // the system's generator does not fail
	}
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-Early), NotAfter: now.Add(life),
	}
}

func certPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func keyPEM(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
