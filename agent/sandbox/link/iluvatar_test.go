package link_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/link"
	"github.com/ainur-faas/ainur/agent/testenv"
)

// rootFolder is one of a sandbox, and the folder of sockets in it.
func rootFolder(t *testing.T) (root, sockets string) {
	t.Helper()
	root, err := os.MkdirTemp("", "root-") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(root); err != nil {
			t.Error(err)
		}
	})
	sockets = filepath.Join(root, link.IluvatarSockets)
	if err := os.MkdirAll(sockets, 0o700); err != nil {
		t.Fatal(err)
	}
	return root, sockets
}

// serve starts the server of testdata for a protocol with this main.py, and returns
// the protocol, which is ready for Ready.
func serve(t *testing.T, server, main string) link.Protocol {
	t.Helper()
	testenv.Require(t, testenv.Python)
	app := t.TempDir()
	root, sockets := rootFolder(t)
	for _, name := range []string{"server.py", "main.py"} {
		content, err := os.ReadFile(filepath.Join("testdata/iluvatar", name))
		if name == "main.py" && main != "" {
			content = []byte(main)
		}
		if err := errors.Join(err, os.WriteFile(filepath.Join(app, name), content, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("python3", filepath.Join(app, "server.py"), server)
	cmd.Env = append(os.Environ(), link.IluvatarEnv("127.0.0.1", port, time.Minute)...)
	cmd.Env = append(cmd.Env, "__IL_SOCKET="+filepath.Join(sockets, "sock"))
	var words link.Output
	stdout, stderr := link.NewMarkers(&link.Output{}, &words)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = cmd.Wait() // killed
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		<-done
	})
	ended := func() *sandbox.Error {
		select {
		case <-done:
			return &sandbox.Error{Kind: sandbox.Crashed, Message: cmd.ProcessState.String() + words.LastWords()}
		case <-time.After(5 * time.Second):
			return &sandbox.Error{Kind: sandbox.Crashed, Message: "it went on"}
		}
	}
	var p link.Protocol
	if server == "unix" {
		p = link.NewUnix(root, "", stdout.Seen, done, ended)
	} else {
		p = link.NewHTTP(fmt.Sprintf("127.0.0.1:%d", port), stdout.Seen, done, ended)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func each(t *testing.T, do func(*testing.T, string)) {
	for _, server := range []string{"http", "unix"} {
		t.Run(server, func(t *testing.T) { do(t, server) })
	}
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestIluvatar(t *testing.T) {
	each(t, func(t *testing.T, server string) {
		p := serve(t, server, "")
		ctx := within(t, 20*time.Second)
		if err := p.Ready(ctx); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			r, err := p.Invoke(ctx, []byte(`{"n":41}`))
			if err != nil || string(r.Result) != `{"n": 42}` {
				t.Fatalf("%s, %v", r.Result, err)
			}
		}
		r, err := p.Invoke(ctx, []byte(`{"do":"sleep","s":0.05}`))
		if took := r.ExecEnd - r.ExecStart; err != nil || took < 50*time.Millisecond || took > time.Second {
			t.Errorf("it slept for %v: %v", took, err)
		}
		_, err = p.Invoke(ctx, []byte(`{"do":"raise"}`))
		fails(t, err, sandbox.UserError, "ValueError: by design")
		if r, err := p.Invoke(ctx, []byte(`{"do":"large","n":1000000}`)); err != nil || len(r.Result) != 1000002 {
			t.Errorf("%d bytes, %v", len(r.Result), err)
		}
		_, err = p.Invoke(ctx, []byte(`no JSON`))
		fails(t, err, sandbox.Protocol)
		_, err = p.Invoke(ctx, make([]byte, sandbox.MaxPayload+1))
		fails(t, err, sandbox.TooLarge)
		_, err = p.Invoke(ctx, []byte(`{"do":"exit"}`))
		fails(t, err, sandbox.Crashed, "exit status 9", "last words")
	})
}

func TestIluvatarImportFails(t *testing.T) {
	each(t, func(t *testing.T, server string) {
		err := serve(t, server, "import nothing_like_it\n").Ready(within(t, 20*time.Second))
		fails(t, err, sandbox.StartFailed, "nothing_like_it")
	})
}

func TestIluvatarNeverAnswers(t *testing.T) {
	each(t, func(t *testing.T, server string) {
		p := serve(t, server, "")
		if err := p.Ready(within(t, 20*time.Second)); err != nil {
			t.Fatal(err)
		}
		stop := errors.New("stop")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, stop)
		defer cancel()
		if _, err := p.Invoke(ctx, []byte(`{"do":"sleep","s":60}`)); !errors.Is(err, stop) {
			t.Errorf("%v, want the cause", err)
		}
	})
}

func TestIluvatarNoMarker(t *testing.T) {
	each(t, func(t *testing.T, server string) {
		p := link.NewHTTP("127.0.0.1:1", make(chan struct{}), make(chan struct{}), nil)
		if server == "unix" {
			p = link.NewUnix(t.TempDir(), "", make(chan struct{}), make(chan struct{}), nil)
		}
		fails(t, p.Ready(within(t, 50*time.Millisecond)), sandbox.StartFailed, "MGK_GUN_READY_KMG")
		seen := make(chan struct{})
		close(seen)
		p = link.NewHTTP("127.0.0.1:1", seen, make(chan struct{}), nil)
		if server == "unix" {
			p = link.NewUnix(t.TempDir(), "", seen, make(chan struct{}), nil)
		}
		fails(t, p.Ready(within(t, 50*time.Millisecond)), sandbox.StartFailed, "does not answer")
	})
}

// Servers that answer what is no answer.
func TestIluvatarGarbage(t *testing.T) {
	seen := make(chan struct{})
	close(seen)
	for body, kind := range map[string]sandbox.Kind{
		`<html>Internal Server Error</html>`: sandbox.Protocol, `{}`: sandbox.Protocol, `[]`: sandbox.Protocol, ``: sandbox.Protocol,
		`{"platform_error":"x"}`: sandbox.Protocol, `{"user_result":"no"}`: sandbox.UserError, `{"user_error":"\"x\""}`: sandbox.UserError,
	} {
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }))
		p := link.NewHTTP(strings.TrimPrefix(web.URL, "http://"), seen, make(chan struct{}), nil)
		_, err := p.Invoke(t.Context(), []byte(`{}`))
		fails(t, err, kind)
		_ = p.Close()
		web.Close()
	}
	root, sockets := rootFolder(t)
	socket, err := net.Listen("unix", filepath.Join(sockets, "sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	go func() {
		for {
			conn, err := socket.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 100))
			_ = binary.Write(conn, binary.NativeEndian, uint64(1)<<60)
		}
	}()
	p := link.NewUnix(root, "", seen, make(chan struct{}), nil)
	defer p.Close()
	_, err = p.Invoke(t.Context(), []byte(`{}`))
	fails(t, err, sandbox.Protocol, "over 16 MiB")
}

// The marker is found however it is cut into pieces, and passed on.
func TestMarker(t *testing.T) {
	text := "starting\nMGK_GUN_READY_KMG\nmore"
	for cut := range text {
		for second := range text[cut:] {
			var got strings.Builder
			out, _ := link.NewMarkers(&got, io.Discard)
			for _, piece := range []string{text[:cut], text[cut : cut+second], text[cut+second:]} {
				if _, err := io.WriteString(out, piece); err != nil {
					t.Fatal(err)
				}
			}
			select {
			case <-out.Seen:
			default:
				t.Fatalf("not seen when cut at %d and %d", cut, cut+second)
			}
			if got.String() != text {
				t.Fatalf("passed on %q", got.String())
			}
		}
	}
	_, err := link.NewMarkers(io.Discard, io.Discard)
	if _, err := io.WriteString(err, "MGK_GUN_READY_KM\nMGK_GUN_READY"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-err.Seen:
		t.Error("seen where it is not")
	default:
	}
}

func fails(t *testing.T, err error, kind sandbox.Kind, words ...string) {
	t.Helper()
	var e *sandbox.Error
	if !errors.As(err, &e) || e.Kind != kind {
		t.Fatalf("error is %v, want %s", err, kind)
	}
	for _, word := range words {
		if !strings.Contains(e.Message, word) {
			t.Errorf("%q does not say %q", e.Message, word)
		}
	}
}
