package mtls

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// Who has the token is answered; who has another, none, or says nothing, is not.
func TestToken(t *testing.T) {
	ours, theirs := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
	for _, dir := range []string{ours, theirs} {
		if err := MakeToken(dir); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(filepath.Join(ours, TokenFile))
	if err != nil || info.Mode() != 0o600 {
		t.Fatalf("%v, %v", info.Mode(), err)
	}
	serve, connect, err := Load(ours)
	if err != nil {
		t.Fatal(err)
	}
	_, other, err := Load(theirs)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.Creds(serve))
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	go func() { _ = server.Serve(listener) }()
	defer server.Stop()
	silent, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close() // which holds nobody up

	for name, tt := range map[string]struct {
		option grpc.DialOption
		ok     bool
	}{
		"the token":     {grpc.WithTransportCredentials(connect), true},
		"another token": {grpc.WithTransportCredentials(other), false},
		"no token":      {grpc.WithTransportCredentials(insecure.NewCredentials()), false},
	} {
		conn, err := grpc.NewClient("passthrough:///"+listener.Addr().String(), tt.option, grpc.WithNoProxy())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		_, err = grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
		cancel()
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
		conn.Close()
	}
}

// Processes that begin at one time have one token.
func TestMakeTokenAtOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	tokens := make([]token, 8)
	var work sync.WaitGroup
	for i := range tokens {
		work.Go(func() {
			err := MakeToken(dir)
			if err == nil {
				tokens[i], err = readToken(filepath.Join(dir, TokenFile))
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
	for _, got := range tokens {
		if got != tokens[0] || got == (token{}) {
			t.Errorf("tokens %x and %x", got, tokens[0])
		}
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("%v, %v", files, err)
	}
}
