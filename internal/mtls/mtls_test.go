package mtls

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// folder is one that Load reads, of a host at 127.0.0.1.
func folder(t *testing.T, a *Authority, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	certificate, key, err := a.Issue("h", names, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{AuthorityFile: a.Certificate, CertificateFile: certificate, KeyFile: key} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func authority(t *testing.T) *Authority {
	t.Helper()
	a, key, err := NewAuthority("lab", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if a, err = ParseAuthority(a.Certificate, key); err != nil {
		t.Fatal(err)
	}
	return a
}

// Hosts of one deployment reach one another, and nobody else does.
func TestLoad(t *testing.T) {
	ours, theirs := authority(t), authority(t)
	server, _, err := Load(folder(t, ours, "n1")) // which is reached at an address here
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	impostor, _, err := Load(folder(t, theirs, "127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(grpc.Creds(server))
	grpc_health_v1.RegisterHealthServer(s, health.NewServer())
	defer s.Stop()
	go func() { _ = s.Serve(listener) }()
	check := func(at net.Listener, creds credentials.TransportCredentials) error {
		conn, err := grpc.NewClient(at.Addr().String(), grpc.WithTransportCredentials(creds))
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err = grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
		return errors.Join(err, conn.Close())
	}
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	theirServer := grpc.NewServer(grpc.Creds(impostor))
	grpc_health_v1.RegisterHealthServer(theirServer, health.NewServer())
	defer theirServer.Stop()
	go func() { _ = theirServer.Serve(other) }()
	for name, tt := range map[string]struct {
		dir  string
		want bool
	}{
		"another host of the deployment": {folder(t, ours, "10.0.0.2"), true},
		"a host of another deployment":   {folder(t, theirs, "127.0.0.1"), false},
		"in the clear":                   {"", false},
	} {
		_, creds, err := Load(tt.dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := check(listener, creds); (err == nil) != tt.want {
			t.Errorf("%s: %v, want success %v", name, err, tt.want)
		}
		if err := check(other, creds); err == nil && name == "another host of the deployment" {
			t.Errorf("%s takes a server of another deployment", name)
		}
	}
}

func TestCheck(t *testing.T) {
	a, now := authority(t), time.Now()
	certificate, _, err := a.Issue("h", []string{"10.0.0.1", "h.lab"}, now)
	if err != nil {
		t.Fatal(err)
	}
	for want, tt := range map[string]struct {
		authority   *Authority
		certificate []byte
		names       []string
		at          time.Time
	}{
		"":                  {a, certificate, []string{"10.0.0.1", "h.lab"}, now},
		"none":              {a, nil, nil, now},
		"unknown authority": {authority(t), certificate, nil, now},
		"10.0.0.2":          {a, certificate, []string{"10.0.0.2"}, now},
		"ends in":           {a, certificate, nil, now.Add(life/2 + time.Hour)},
		"expired":           {a, certificate, nil, now.Add(2 * life)},
	} {
		err := Check(tt.authority.Certificate, tt.certificate, tt.names, tt.at)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
