package proxy_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	pb "github.com/ainur-faas/ainur/agent/agentpb"
)

// request makes one HTTP request and returns the answer with its body.
func request(t *testing.T, method, url, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(got)
}

func TestHTTPInvoke(t *testing.T) {
	b, w := newBalancer(t, 0), newAgent(t, "w", doing(func(_ context.Context, req *pb.InvokeRequest) *pb.InvokeReply {
		return &pb.InvokeReply{
			Outcome: pb.Outcome_OK, ResultJson: append([]byte(req.GetFunction()+":"), req.GetArgsJson()...),
			ColdKind: pb.ColdKind_WARM, ExecStartNs: 10, ExecEndNs: 25,
		}
	}))
	b.joins(t, w, "i")
	resp, body := request(t, http.MethodPost, b.url+"/invoke/pool%2Fhello", `{"n":1}`, "Ainur-Tid", "mine")
	if resp.StatusCode != http.StatusOK || body != `pool/hello:{"n":1}` {
		t.Errorf("%s %s", resp.Status, body)
	}
	for name, want := range map[string]string{
		"Ainur-Tid": "mine", "Ainur-Worker": "w", "Ainur-Cold": "warm", "Ainur-Exec-Ns": "15", "Content-Type": "application/json",
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if resp, body := request(t, http.MethodPost, b.url+"/invoke/f", ""); body != "f:" || resp.Header.Get("Ainur-Tid") == "" {
		t.Errorf("without arguments and transaction id: %s %s %v", resp.Status, body, resp.Header)
	}
}

func TestHTTPProblems(t *testing.T) {
	replies := map[string]*pb.InvokeReply{
		"unknown":   {Outcome: pb.Outcome_REFUSED, UnknownFunction: true, Error: "no function"},
		"draining":  {Outcome: pb.Outcome_REFUSED},
		"raises":    {Outcome: pb.Outcome_USER_ERROR, Error: "ValueError: no"},
		"slow":      {Outcome: pb.Outcome_TIMEOUT},
		"crashes":   {Outcome: pb.Outcome_CRASHED},
		"eats":      {Outcome: pb.Outcome_OUT_OF_MEMORY},
		"bad":       {Outcome: pb.Outcome_START_FAILED},
		"prints":    {Outcome: pb.Outcome_TOO_LARGE},
		"cancelled": {Outcome: pb.Outcome_CANCELLED},
		"broken":    {Outcome: pb.Outcome_PLATFORM},
	}
	b, w := newBalancer(t, 0), newAgent(t, "w", doing(func(_ context.Context, req *pb.InvokeRequest) *pb.InvokeReply {
		return replies[req.GetFunction()]
	}))
	b.joins(t, w, "i")
	type problem struct {
		Type, Title string
		Status      int
		Detail      string
		Outcome     string
	}
	for name, tt := range map[string]struct {
		method, path, body string
		want               problem
	}{
		"unknown function": {path: "unknown", want: problem{Title: "Not Found", Status: 404, Detail: "no function", Outcome: "refused"}},
		"refused":          {path: "draining", want: problem{Title: "Service Unavailable", Status: 503, Outcome: "refused"}},
		"user error":       {path: "raises", want: problem{Title: "Internal Server Error", Status: 500, Detail: "ValueError: no", Outcome: "user_error"}},
		"timeout":          {path: "slow", want: problem{Title: "Gateway Timeout", Status: 504, Outcome: "timeout"}},
		"crash":            {path: "crashes", want: problem{Title: "Bad Gateway", Status: 502, Outcome: "crashed"}},
		"out of memory":    {path: "eats", want: problem{Title: "Bad Gateway", Status: 502, Outcome: "out_of_memory"}},
		"start failed":     {path: "bad", want: problem{Title: "Bad Gateway", Status: 502, Outcome: "start_failed"}},
		"too large":        {path: "prints", want: problem{Title: "Request Entity Too Large", Status: 413, Outcome: "too_large"}},
		"cancelled":        {path: "cancelled", want: problem{Title: "Bad Gateway", Status: 502, Outcome: "cancelled"}},
		"platform":         {path: "broken", want: problem{Title: "Bad Gateway", Status: 502, Outcome: "platform"}},
		"no object": {path: "f", body: "[1]", want: problem{
			Title: "Bad Request", Status: 400, Detail: "the body must be a JSON object: the arguments of the function", Outcome: "refused",
		}},
		"body too large": {path: "f", body: strings.Repeat(" ", 16<<20+1), want: problem{
			Title: "Request Entity Too Large", Status: 413, Detail: "the arguments are over 16 MiB", Outcome: "too_large",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			resp, body := request(t, http.MethodPost, b.url+"/invoke/"+tt.path, tt.body)
			var got problem
			if err := json.Unmarshal([]byte(body), &got); err != nil {
				t.Fatal(err, body)
			}
			tt.want.Type = "about:blank"
			if diff := cmp.Diff(tt.want, got); diff != "" || resp.StatusCode != tt.want.Status || resp.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s %v\n%s", resp.Status, resp.Header, diff)
			}
		})
	}
}

func TestHTTPState(t *testing.T) {
	b := newBalancer(t, 0)
	if resp, body := request(t, http.MethodGet, b.url+"/healthz", ""); resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, "no worker is a member") {
		t.Errorf("without members: %s %s", resp.Status, body)
	}
	if _, body := request(t, http.MethodGet, b.url+"/members", ""); body != "[]\n" {
		t.Errorf("members: %s", body)
	}
	if resp, _ := request(t, http.MethodPost, b.url+"/invoke/f", ""); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("invoked without members: %s", resp.Status)
	}
	w := newAgent(t, "w")
	b.joins(t, w, "i")
	if resp, _ := request(t, http.MethodGet, b.url+"/healthz", ""); resp.StatusCode != http.StatusOK {
		t.Errorf("with a member: %s", resp.Status)
	}
	want := `[{"worker":"w","address":"` + w.address + `","healthy":true,"in_flight":0}]` + "\n"
	if _, body := request(t, http.MethodGet, b.url+"/members", ""); body != want {
		t.Errorf("members: %s, want %s", body, want)
	}
	if resp, _ := request(t, http.MethodGet, b.url+"/invoke/f", ""); resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET /invoke/f: %s", resp.Status)
	}
}
