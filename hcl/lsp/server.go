// Package lsp is a language server for experiment files: the Language Server
// Protocol 3.17 over a pair of streams.
package lsp

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	hcllib "github.com/hashicorp/hcl/v2"

	"github.com/ainur-faas/ainur/hcl"
)

// Options of a server.
type Options struct {
	Load  func(path string, overlay map[string][]byte) (*hcl.Module, hcllib.Diagnostics) // with the policies that names are checked against
	Delay time.Duration                                                                  // after a change before it is checked; 0 checks at once
}

// server is one client's. Requests are answered by one goroutine, documents
// are checked by another, the newest text first.
type server struct {
	Options
	conn connection

	initialized, shutdown bool
	utf8                  bool
	documents             map[string]*text // open ones, by path

	changed chan snapshot // to the checker; holds the newest only
	mu      sync.Mutex    // of what follows
	modules map[string]*hcl.Module
	shown   map[string][]string // files with diagnostics on the client's screen, by the document that was checked
}

// snapshot is what the checker looks at.
type snapshot struct {
	path    string   // the document to check
	more    []string // others that changed
	overlay map[string][]byte
	utf8    bool
}

// ErrNoShutdown is of a client that ended without saying so.
var ErrNoShutdown = errors.New("the client ended without shutdown")

// Serve answers a client until it says exit or the input ends.
func Serve(ctx context.Context, in io.Reader, out io.Writer, o Options) error {
	s := &server{
		Options: o, conn: connection{in: bufio.NewReaderSize(in, 1<<16), out: out}, documents: map[string]*text{},
		changed: make(chan snapshot, 1), modules: map[string]*hcl.Module{}, shown: map[string][]string{},
	}
	var checking sync.WaitGroup
	checking.Go(s.checker)
	defer func() {
		close(s.changed) // read by the checker, written by this goroutine only
		checking.Wait()
	}()
	for ctx.Err() == nil {
		content, err := s.conn.read()
		if errors.Is(err, io.EOF) {
			return s.ended()
		}
		if err != nil {
			return err
		}
		var m message
		if err := json.Unmarshal(content, &m); err != nil {
			if err := s.fail(nil, parseError, err.Error()); err != nil {
				return err
			}
			continue
		}
		if m.Method == "exit" {
			return s.ended()
		}
		if err := s.handle(m); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

func (s *server) ended() error {
	if !s.shutdown {
		return ErrNoShutdown
	}
	return nil
}

func (s *server) fail(id *json.RawMessage, code int, text string) error {
	if id == nil {
		null := json.RawMessage("null")
		id = &null
	}
	return s.conn.write(message{ID: id, Error: &rpcError{code, text}})
}

// handle answers one message; its error is that of writing.
func (s *server) handle(m message) (err error) {
	switch {
	case m.Method == "":
		return nil // a response: the server asks nothing
	case m.ID == nil:
		s.notice(m)
		return nil
	case !s.initialized && m.Method != "initialize":
		return s.fail(m.ID, notInitialized, "initialize comes first")
	case s.shutdown:
		return s.fail(m.ID, invalidRequest, "the server has been shut down")
	}
	result, failure := s.answer(m)
	if failure != nil {
		return s.fail(m.ID, failure.Code, failure.Message)
	}
	if result == nil {
		result = json.RawMessage("null")
	}
	return s.conn.write(message{ID: m.ID, Result: result})
}

// answer is the result of a request. A panic is a bug of ours and costs this
// answer, not the session.
func (s *server) answer(m message) (result any, failure *rpcError) {
	defer func() {
		if r := recover(); r != nil {
			stack := make([]byte, 4<<10)
			failure = &rpcError{requestFailed, fmt.Sprintf("%s: %v\n%s", m.Method, r, stack[:runtime.Stack(stack, false)])}
		}
	}()
	handler, known := map[string]func(json.RawMessage) (any, error){
		"initialize": s.initialize, "shutdown": func(json.RawMessage) (any, error) { s.shutdown = true; return nil, nil },
		"textDocument/hover": on(s, s.hover), "textDocument/completion": on(s, s.completion),
		"textDocument/definition": on(s, s.definition), "textDocument/references": on(s, s.references),
		"textDocument/prepareRename": on(s, s.prepareRename), "textDocument/rename": on(s, s.rename),
		"textDocument/documentSymbol": on(s, s.symbols), "textDocument/formatting": on(s, s.formatting),
		"textDocument/codeAction": on(s, s.codeAction),
	}[m.Method]
	if !known {
		return nil, &rpcError{methodNotFound, "no method " + m.Method}
	}
	result, err := handler(m.Params)
	if err != nil && !errors.As(err, &failure) {
		failure = &rpcError{requestFailed, err.Error()}
	}
	return result, failure
}

// place is the parameters that most requests share.
type place struct {
	TextDocument struct {
		URI string `json:"uri"`
	} `json:"textDocument"`
	Position position `json:"position"`
	Range    span     `json:"range"`
	NewName  string   `json:"newName"`

	path string
	doc  *text
	at   int // byte of Position
}

// on makes a handler of one for an open document.
func on(s *server, f func(place) (any, error)) func(json.RawMessage) (any, error) {
	return func(params json.RawMessage) (any, error) {
		var p place
		if err := json.Unmarshal(params, &p); err != nil {
			return nil, &rpcError{invalidParams, err.Error()}
		}
		p.path = pathOf(p.TextDocument.URI)
		if p.doc = s.documents[p.path]; p.doc == nil {
			return nil, &rpcError{invalidParams, p.TextDocument.URI + " is not open"}
		}
		p.at = p.doc.offset(p.Position)
		return f(p)
	}
}

func (s *server) initialize(params json.RawMessage) (any, error) {
	var p struct {
		Capabilities struct {
			General struct {
				PositionEncodings []string `json:"positionEncodings"`
			} `json:"general"`
		} `json:"capabilities"`
	}
	if err := json.Unmarshal(params, &p); err != nil {
		return nil, &rpcError{invalidParams, err.Error()}
	}
	if s.initialized {
		return nil, &rpcError{invalidRequest, "initialize was sent before"}
	}
	s.initialized = true
	encoding := "utf-16"
	if slices.Contains(p.Capabilities.General.PositionEncodings, "utf-8") {
		encoding, s.utf8 = "utf-8", true
	}
	type object = map[string]any
	return object{
		"serverInfo": object{"name": "ainur"},
		"capabilities": object{
			"positionEncoding": encoding,
			"textDocumentSync": object{"openClose": true, "change": 2, "save": true},
			"hoverProvider":    true, "definitionProvider": true, "referencesProvider": true, "documentSymbolProvider": true,
			"documentFormattingProvider": true, "codeActionProvider": object{"codeActionKinds": []string{"quickfix"}},
			"renameProvider":     object{"prepareProvider": true},
			"completionProvider": object{"triggerCharacters": []string{".", "\""}},
		},
	}, nil
}

// notice takes a notification. What is wrong with it has nobody to be told.
func (s *server) notice(m message) {
	var p struct {
		TextDocument struct {
			URI  string `json:"uri"`
			Text string `json:"text"`
		} `json:"textDocument"`
		ContentChanges []struct {
			Range *span  `json:"range"`
			Text  string `json:"text"`
		} `json:"contentChanges"`
	}
	if !s.initialized || json.Unmarshal(m.Params, &p) != nil {
		return
	}
	path := pathOf(p.TextDocument.URI)
	switch m.Method {
	case "textDocument/didOpen":
		s.documents[path] = newText(p.TextDocument.Text, s.utf8)
	case "textDocument/didChange":
		doc := s.documents[path]
		if doc == nil {
			return
		}
		for _, c := range p.ContentChanges {
			if c.Range == nil {
				doc = newText(c.Text, s.utf8)
				continue
			}
			doc = doc.edited(*c.Range, c.Text)
		}
		s.documents[path] = doc
	case "textDocument/didSave":
	case "textDocument/didClose":
		delete(s.documents, path)
	default:
		return
	}
	s.check(path)
}

// check tells the checker of a change; an older one that it has not begun is dropped.
func (s *server) check(path string) {
	shot := snapshot{path: path, overlay: map[string][]byte{}, utf8: s.utf8}
	select {
	case older := <-s.changed:
		shot.after(older)
	default:
	}
	for name, doc := range s.documents {
		shot.overlay[name] = []byte(doc.src)
	}
	s.changed <- shot
}

// after adds the documents of an older snapshot that nobody has checked.
func (s *snapshot) after(older snapshot) {
	for _, path := range append(older.more, older.path) {
		if path != s.path && !slices.Contains(s.more, path) {
			s.more = append(s.more, path)
		}
	}
}

// pathOf is the file of a URI.
func pathOf(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "file" {
		return uri
	}
	return filepath.FromSlash(u.Path)
}

func uriOf(path string) string {
	if strings.Contains(path, "://") {
		return path
	}
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(path)}).String()
}
