package link

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/ainur-faas/ainur/agent/sandbox"
)

// NewHTTP speaks Ilúvatar's protocol over HTTP with the server at host:port, once
// seen is closed: POST /invoke with the arguments; 200 is a result, 422 a user error,
// 500 a failure of the server. done is closed when the sandbox has ended, which ended
// explains.
func NewHTTP(address string, seen, done <-chan struct{}, ended func() *sandbox.Error) Protocol {
	t := &http.Transport{MaxConnsPerHost: 1, MaxIdleConnsPerHost: 1, DisableCompression: true}
	return &iluvatar{transport: httpTransport{"http://" + address, t}, seen: seen, done: done, ended: ended}
}

type httpTransport struct {
	url  string
	pool *http.Transport
}

func (t httpTransport) check(ctx context.Context) (answer []byte, failed bool, err error) {
	status, body, err := t.do(ctx, http.MethodGet, "/", nil)
	return body, status == http.StatusInternalServerError, err
}

func (t httpTransport) invoke(ctx context.Context, args []byte) (answer []byte, failed bool, err error) {
	status, body, err := t.do(ctx, http.MethodPost, "/invoke", args)
	return body, status == http.StatusUnprocessableEntity, err
}

func (t httpTransport) do(ctx context.Context, method, path string, body []byte) (status int, answer []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, method, t.url+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := t.pool.RoundTrip(req)
	if err != nil {
		return 0, nil, err
	}
	answer, err = io.ReadAll(io.LimitReader(resp.Body, 2*sandbox.MaxPayload+1)) // a result is a text in an object, and grows by that
	err = errors.Join(err, resp.Body.Close())
	if len(answer) > 2*sandbox.MaxPayload {
		return 0, nil, errLarge
	}
	return resp.StatusCode, answer, err
}

func (t httpTransport) close() error {
	t.pool.CloseIdleConnections()
	return nil
}
