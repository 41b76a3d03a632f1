package proxy

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	pb "github.com/ainur-faas/ainur/agent/agentpb"
)

// maxBody bounds the arguments in a request, as sandboxes do.
const maxBody = 16 << 20

// handler is the HTTP front:
//
//	POST /invoke/<function>  arguments as a JSON object (or nothing) -> the result, or a problem (RFC 9457)
//	GET  /healthz            200 when a worker is a member, else 503
//	GET  /members            the members as JSON
func (p *Proxy) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /invoke/{function}", p.serveInvoke)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if len(p.memberLinks()) == 0 {
			problem(w, http.StatusServiceUnavailable, pb.Outcome_REFUSED, noMember)
		}
	})
	mux.HandleFunc("GET /members", func(w http.ResponseWriter, _ *http.Request) {
		type member struct {
			Worker   string `json:"worker"`
			Address  string `json:"address"`
			Healthy  bool   `json:"healthy"`
			InFlight int    `json:"in_flight"`
		}
		members := []member{}
		p.mu.Lock()
		for _, m := range p.core.Members() {
			members = append(members, member{m.Worker, m.Address, !m.Suspect, m.InFlight})
		}
		p.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(members) // the client may have gone
	})
	return mux
}

func (p *Proxy) serveInvoke(w http.ResponseWriter, r *http.Request) {
	args, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		problem(w, http.StatusRequestEntityTooLarge, pb.Outcome_TOO_LARGE, "the arguments are over 16 MiB")
		return
	}
	if err != nil {
		return // the client has gone
	}
	if object := map[string]json.RawMessage{}; len(args) > 0 && json.Unmarshal(args, &object) != nil {
		problem(w, http.StatusBadRequest, pb.Outcome_REFUSED, "the body must be a JSON object: the arguments of the function")
		return
	}
	tid := r.Header.Get("Ainur-Tid")
	if tid == "" {
		tid = rand.Text()
	}
	reply := p.invoke(r.Context(), &pb.InvokeRequest{Function: r.PathValue("function"), Tid: tid, ArgsJson: args})
	h := w.Header()
	h.Set("Ainur-Tid", reply.GetTid())
	if reply.GetWorker() != "" {
		h.Set("Ainur-Worker", reply.GetWorker())
	}
	if kind := reply.GetColdKind(); kind != pb.ColdKind_COLD_KIND_UNSPECIFIED {
		h.Set("Ainur-Cold", strings.ToLower(kind.String()))
	}
	if reply.GetExecEndNs() > 0 {
		h.Set("Ainur-Exec-Ns", strconv.FormatInt(reply.GetExecEndNs()-reply.GetExecStartNs(), 10))
	}
	if reply.GetOutcome() != pb.Outcome_OK {
		problem(w, statusOf(reply), reply.GetOutcome(), reply.GetError())
		return
	}
	h.Set("Content-Type", "application/json")
	_, _ = w.Write(reply.GetResultJson()) // the client may have gone
}

// statusOf is the one place where an outcome becomes an HTTP status.
func statusOf(r *pb.InvokeReply) int {
	switch r.GetOutcome() {
	case pb.Outcome_USER_ERROR:
		return http.StatusInternalServerError
	case pb.Outcome_TOO_LARGE:
		return http.StatusRequestEntityTooLarge
	case pb.Outcome_TIMEOUT:
		return http.StatusGatewayTimeout
	case pb.Outcome_REFUSED:
		if r.GetUnknownFunction() {
			return http.StatusNotFound
		}
		return http.StatusServiceUnavailable
	default:
		return http.StatusBadGateway
	}
}

// problem answers with an RFC 9457 problem, whose extension member "outcome" is
// the status that results use.
func problem(w http.ResponseWriter, code int, outcome pb.Outcome, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(struct { // the client may have gone
		Type    string `json:"type"`
		Title   string `json:"title"`
		Status  int    `json:"status"`
		Detail  string `json:"detail"`
		Outcome string `json:"outcome"`
	}{"about:blank", http.StatusText(code), code, detail, strings.ToLower(outcome.String())})
}
