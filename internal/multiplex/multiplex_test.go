package multiplex_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/ainur-faas/ainur/internal/mtls"
	"github.com/ainur-faas/ainur/internal/multiplex"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// service is a gRPC server of health checks, and of calls that h answers, on one port.
type service struct {
	address string
	calls   *multiplex.Server
	stop    func()
}

func serve(t testing.TB, creds credentials.TransportCredentials, h multiplex.Handler) *service {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &service{address: listener.Addr().String(), calls: multiplex.NewServer(h)}
	server := grpc.NewServer(grpc.Creds(s.calls.Credentials(creds)))
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) }) // until it is stopped
	s.stop = func() { server.Stop(); s.calls.Close(); serving.Wait() }
	t.Cleanup(s.stop)
	return s
}

func dial(t testing.TB, s *service, creds credentials.TransportCredentials) *multiplex.Conn {
	t.Helper()
	conn, err := multiplex.Dial(t.Context(), s.address, creds)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); <-conn.Ended() })
	return conn
}

func echo(call *multiplex.Call, request []byte) {
	payload := bytes.Clone(request)
	go call.Reply(payload)
}

// end is what a Waiter is told.
type end struct {
	reply string
	err   error
}

type waiter chan end

func (w waiter) Done(reply []byte, err error) { w <- end{string(reply), err} }

// send makes a call and returns where its end comes.
func send(t testing.TB, c *multiplex.Conn, id uint64, payload string) waiter {
	t.Helper()
	w := make(waiter, 1)
	if err := c.Send(id, w, []byte(payload)); err != nil {
		t.Fatal(err)
	}
	return w
}

func within[T any](t testing.TB, from <-chan T) (got T) {
	t.Helper()
	select {
	case got = <-from:
	case <-time.After(20 * time.Second):
		t.Fatal("nothing came")
	}
	return got
}

// ways are the credentials of both ends that daemons have.
func ways(t *testing.T) map[string][2]credentials.TransportCredentials {
	all := map[string][2]credentials.TransportCredentials{"in the clear": {insecure.NewCredentials(), insecure.NewCredentials()}}
	token := t.TempDir()
	if err := mtls.MakeToken(token); err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{"token": token, "certificates": certificates(t)} {
		server, client, err := mtls.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = [2]credentials.TransportCredentials{server, client}
	}
	return all
}

// Calls of all sizes at the same time, beside gRPC on the same port.
func TestCalls(t *testing.T) {
	for name, creds := range ways(t) {
		t.Run(name, func(t *testing.T) {
			s := serve(t, creds[0], echo)
			conn := dial(t, s, creds[1])
			var calls sync.WaitGroup
			for i, size := range []int{0, 1, 100, 65_519, 65_520, 65_521, 1 << 20, 8 << 20} {
				for n := range min(8, 1+1<<20/(1+size)) {
					calls.Go(func() {
						payload := strings.Repeat(fmt.Sprint(i), size)
						if got := within(t, send(t, conn, uint64(100*i+n), payload)); got.err != nil || got.reply != payload {
							t.Errorf("%d bytes came back as %d, %v", size, len(got.reply), got.err)
						}
					})
				}
			}
			calls.Wait()
			grpcConn, err := grpc.NewClient(s.address, grpc.WithTransportCredentials(creds[1]))
			if err != nil {
				t.Fatal(err)
			}
			defer grpcConn.Close()
			if _, err := grpc_health_v1.NewHealthClient(grpcConn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil {
				t.Error("gRPC on the same port:", err)
			}
			if err := conn.Send(1, make(waiter, 1), make([]byte, multiplex.MaxPayload+1)); !errors.Is(err, multiplex.ErrTooLarge) {
				t.Errorf("too large: %v", err)
			}
			if got := within(t, send(t, conn, 1, "after")); got.reply != "after" {
				t.Errorf("after one that was too large: %v", got)
			}
		})
	}
}

// pending is a service that answers nothing, and tells of calls that came and were cancelled.
func pending(t *testing.T) (s *service, came <-chan *multiplex.Call, cancelled <-chan string) {
	t.Helper()
	calls, gone := make(chan *multiplex.Call, 10), make(chan string, 10)
	s = serve(t, insecure.NewCredentials(), func(call *multiplex.Call, request []byte) {
		name := string(request)
		call.OnCancel(func() { gone <- name })
		calls <- call
	})
	return s, calls, gone
}

func TestCancel(t *testing.T) {
	s, came, cancelled := pending(t)
	conn := dial(t, s, insecure.NewCredentials())
	w, other := send(t, conn, 7, "seven"), send(t, conn, 8, "eight")
	seven, eight := within(t, came), within(t, came)
	if !conn.Cancel(7) || conn.Cancel(7) {
		t.Error("Cancel is true once, while the call is under way")
	}
	if name := within(t, cancelled); name != "seven" {
		t.Errorf("%s was cancelled", name)
	}
	if err := errors.Join(seven.Reply([]byte("too late")), eight.Reply([]byte("8"))); err != nil {
		t.Error(err)
	}
	if got := within(t, other); got.reply != "8" {
		t.Errorf("the other: %v", got)
	}
	select {
	case got := <-w:
		t.Errorf("the waiter of a cancelled call heard %v", got)
	case name := <-cancelled:
		t.Errorf("%s was cancelled too", name)
	default:
	}
}

// The end of a connection ends what is under way on it, at both ends.
func TestConnectionEnds(t *testing.T) {
	t.Run("the caller's", func(t *testing.T) {
		s, came, cancelled := pending(t)
		conn := dial(t, s, insecure.NewCredentials())
		w := send(t, conn, 1, "one")
		call := within(t, came)
		conn.Close()
		if got := within(t, w); !errors.Is(got.err, multiplex.ErrClosed) {
			t.Errorf("its waiter: %v", got)
		}
		within(t, cancelled)
		if err := conn.Send(2, w, nil); !errors.Is(err, multiplex.ErrClosed) || !errors.Is(conn.Lost(), multiplex.ErrClosed) {
			t.Errorf("closed: %v, %v", err, conn.Lost())
		}
		_ = call.Reply(nil) // to nobody
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if s.calls.Idle(ctx); ctx.Err() != nil {
			t.Error("a call that has replied is still under way")
		}
	})
	t.Run("the server's", func(t *testing.T) {
		s, came, cancelled := pending(t)
		conn := dial(t, s, insecure.NewCredentials())
		w := send(t, conn, 1, "one")
		within(t, came)
		s.stop()
		within(t, cancelled)
		if got := within(t, w); got.err == nil || errors.Is(got.err, multiplex.ErrClosed) {
			t.Errorf("its waiter: %v", got)
		}
		if err := conn.Send(2, w, nil); err == nil {
			t.Error("a call was sent on a lost connection")
		}
	})
}

// Who does not read its replies keeps no other caller waiting.
func TestSlowReader(t *testing.T) {
	s := serve(t, insecure.NewCredentials(), func(call *multiplex.Call, request []byte) {
		_ = call.Reply(make([]byte, 1<<20*len(request))) // in the goroutine that reads
	})
	slow, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	all := []byte("ainur/1\n")
	for id := range uint64(10) {
		all = append(all, frame(1, 1, id, "1")...)
	}
	if _, err := slow.Write(all); err != nil {
		t.Fatal(err)
	}
	conn := dial(t, s, insecure.NewCredentials())
	for id := range uint64(100) {
		if got := within(t, send(t, conn, id, "")); got.err != nil {
			t.Fatal(got.err)
		}
	}
}

func frame(size uint32, kind byte, id uint64, payload string) []byte {
	b := binary.BigEndian.AppendUint32(nil, size)
	b = append(b, kind, 0, 0, 0)
	return append(binary.BigEndian.AppendUint64(b, id), payload...)
}

// What is not this protocol ends its own connection and nothing else.
func TestMalformed(t *testing.T) {
	s := serve(t, insecure.NewCredentials(), echo)
	conn := dial(t, s, insecure.NewCredentials())
	for name, text := range map[string][]byte{
		"no type":     frame(0, 0, 1, ""),
		"a reply":     frame(0, 2, 1, ""),
		"large":       frame(1<<31, 1, 1, ""),
		"not all":     frame(100, 1, 1, "x"),
		"twice":       append(frame(0, 1, 1, ""), frame(0, 1, 1, "")...),
		"not a frame": []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			raw, err := net.Dial("tcp", s.address)
			if err != nil {
				t.Fatal(err)
			}
			defer raw.Close()
			if name == "twice" { // answered at once it would not be twice at the same time
				s, came, _ := pending(t)
				raw, err = net.Dial("tcp", s.address)
				if err != nil {
					t.Fatal(err)
				}
				defer raw.Close()
				defer func() { _ = within(t, came).Reply(nil) }()
			}
			if _, err := raw.Write(append([]byte("ainur/1\n"), text...)); err != nil {
				t.Fatal(err)
			}
			if err := raw.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if err := raw.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadAll(raw); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the connection goes on")
			}
		})
	}
	if got := within(t, send(t, conn, 1, "fine")); got.reply != "fine" {
		t.Errorf("another connection: %v", got)
	}
}

func TestDialRefused(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) }) // until it is stopped
	defer serving.Wait()
	defer server.Stop()
	if _, err := multiplex.Dial(t.Context(), listener.Addr().String(), insecure.NewCredentials()); !errors.Is(err, multiplex.ErrUnspoken) {
		t.Errorf("gRPC alone: %v", err)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	why := errors.New("the test has no more time")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, why)
	defer cancel()
	if _, err := multiplex.Dial(ctx, silent.Addr().String(), insecure.NewCredentials()); !errors.Is(err, why) {
		t.Errorf("silence: %v", err)
	}
}

// BenchmarkCall is an empty call and its reply, one at a time.
func BenchmarkCall(b *testing.B) {
	s := serve(b, insecure.NewCredentials(), func(call *multiplex.Call, request []byte) { _ = call.Reply(request) })
	conn := dial(b, s, insecure.NewCredentials())
	w := make(waiter, 1)
	b.ReportAllocs()
	for id := uint64(0); b.Loop(); id++ {
		if err := conn.Send(id, w, nil); err != nil {
			b.Fatal(err)
		}
		<-w
	}
}

// certificates is a folder as hosts of a deployment have it.
func certificates(t *testing.T) string {
	t.Helper()
	authority, _, err := mtls.NewAuthority("test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	certificate, key, err := authority.Issue("host", []string{"127.0.0.1"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range map[string][]byte{
		mtls.AuthorityFile: authority.Certificate, mtls.CertificateFile: certificate, mtls.KeyFile: key,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
