package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/internal/mtls"
)

// Serving is the daemons of a point, with its functions, for whoever calls them.
type Serving struct {
	Target string // where the functions are called: the balancer, or the only worker
	TLS    string // folder with what to show it
	d      *deployment
	dir    string
}

// Serve starts the daemons of a point. What they print goes to dir.
func Serve(ctx context.Context, exp *spec.Experiment, site Site, dir string) (s *Serving, err error) {
	l := &live{Site: site, run: fmt.Sprintf("serve-%d-%d", os.Getpid(), time.Now().UnixNano()), progress: func(Progress) {}}
	if err := l.announce(ctx, exp); err != nil {
		return nil, errors.Join(err, l.close())
	}
	d := &deployment{live: l, point: &exp.Points[0], results: dir, stopping: make(chan struct{}), name: exp.Points[0].ID}
	s = &Serving{TLS: site.TLS, d: d, dir: dir}
	d.watch, d.lost = context.WithCancelCause(ctx)
	if _, d.creds, err = mtls.Load(site.TLS); err == nil {
		err = d.start(d.watch, exp.Seed)
	}
	if err == nil {
		err = d.pushImages(d.watch)
	}
	if err == nil {
		err = d.register(d.watch)
	}
	if err != nil {
		return nil, errors.Join(d.cause(err), s.Close())
	}
	s.Target = d.target
	return s, nil
}

// Lost is why the daemons do not serve any longer, nil while they do.
func (s *Serving) Lost() error { return s.d.cause(nil) }

// Close ends the daemons and removes all that is theirs.
func (s *Serving) Close() error {
	err := s.d.stop()
	s.d.lost(nil)
	return errors.Join(err, s.d.close())
}
