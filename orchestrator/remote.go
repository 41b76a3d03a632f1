package orchestrator

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/ainur-faas/ainur/agent/image/oci"
	"github.com/ainur-faas/ainur/agent/image/push"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/internal/digest"
	"github.com/ainur-faas/ainur/orchestrator/node"
	"github.com/ainur-faas/ainur/orchestrator/plan"
	"github.com/ainur-faas/ainur/orchestrator/result"
)

// Cluster is hosts on which ainur is set up.
type Cluster struct {
	Name       string
	Controller *node.Client // its host executes runs
	Hosts      map[string]JobHost
	Facts      map[string]spec.Facts // by host
}

// Remote starts exp on a cluster and stays until its end, which does not need it:
// Attach goes on where it was.
func Remote(ctx context.Context, exp *spec.Experiment, c Cluster, store *oci.Store, o Options) (*result.Run, hcl.Diagnostics, error) {
	if err := c.tidy(ctx, o.Results); err != nil {
		return nil, nil, err
	}
	code, err := Build(ctx, exp, store)
	if err != nil {
		return nil, nil, err
	}
	x, err := begin(ctx, exp, o, result.Live)
	if err != nil {
		return nil, nil, err
	}
	job, err := x.send(ctx, c, store, code)
	if err != nil {
		return nil, nil, errors.Join(err, x.run.Close())
	}
	return x.attend(ctx, c, job)
}

// tidy removes from the controller the runs whose results are home and sealed.
func (c Cluster) tidy(ctx context.Context, results string) error {
	description, err := c.Controller.Describe(ctx)
	if err != nil {
		return err
	}
	for _, run := range description.Runs {
		here, err := result.Open(run.ID, results)
		if err != nil || here.Manifest.State != result.Sealed {
			continue // it is another's, or not whole here
		}
		if _, err := c.Controller.Forget(ctx, run.ID); err != nil {
			return err
		}
	}
	return nil
}

// Attach stays with a run that Remote started until its end, and starts what is left
// of it where nothing executes it any more.
func Attach(ctx context.Context, run *result.Run, exp *spec.Experiment, c Cluster, store *oci.Store, o Options) (*result.Run, hcl.Diagnostics, error) {
	run, err := result.Reopen(run.Dir)
	if err != nil {
		return nil, nil, err
	}
	x := &execution{Options: o, exp: exp, run: run}
	job, err := x.sent(ctx, c)
	if errors.Is(err, node.ErrNotFound) { // it was not all sent, or is gone again
		var code map[string][]byte
		if code, err = Build(ctx, exp, store); err == nil {
			job, err = x.send(ctx, c, store, code)
		}
	}
	if err != nil {
		return nil, nil, errors.Join(err, run.Close())
	}
	return x.attend(ctx, c, job)
}

// sent is the job that the controller has, ErrNotFound where not all of it is there.
func (x *execution) sent(ctx context.Context, c Cluster) (job Job, err error) {
	var text bytes.Buffer
	if err := node.Copy(ctx, c.Controller, x.run.Manifest.RunID, jobFile, 0, &text, node.MaxTask); err != nil {
		return job, err
	}
	return job, json.Unmarshal(text.Bytes(), &job)
}

// jobFile is the last file of a run that is sent.
const jobFile = "job.json"

// send brings a run to its controller.
func (x *execution) send(ctx context.Context, c Cluster, store *oci.Store, code map[string][]byte) (Job, error) {
	id := x.run.Manifest.RunID
	if err := x.run.Amend(func(m *result.Manifest) { m.Site = &result.Site{Cluster: c.Name, Controller: c.Controller.Name} }); err != nil {
		return Job{}, err
	}
	for name, facts := range c.Facts {
		if err := x.run.SetFacts(name, facts, nil); err != nil {
			return Job{}, err
		}
	}
	job := Job{Run: id, Controller: c.Controller.Name, Hosts: c.Hosts, Code: map[string]string{}, Traces: map[string]string{}}
	for key, content := range code {
		path := "code/" + short(content)
		job.Code[key] = path
		if err := c.Controller.Put(ctx, id, path, bytes.NewReader(content)); err != nil {
			return Job{}, err
		}
	}
	for i := range x.exp.Points {
		if err := push.Images(ctx, c.Controller.Conn(), store, images(&x.exp.Points[i])); err != nil {
			return Job{}, fmt.Errorf("push images to host %s: %w", c.Controller.Name, err)
		}
		if err := x.sendTraces(ctx, c, &x.exp.Points[i], job.Traces); err != nil {
			return Job{}, err
		}
	}
	files, err := x.run.Files()
	if err != nil {
		return Job{}, err
	}
	for _, f := range files {
		if err := put(ctx, c, id, resultFolder+"/"+f.Path, filepath.Join(x.run.Dir, f.Path)); err != nil {
			return Job{}, err
		}
	}
	text, err := json.Marshal(job)
	if err != nil {
		return Job{}, err
	}
	return job, c.Controller.Put(ctx, id, jobFile, bytes.NewReader(text))
}

func (x *execution) sendTraces(ctx context.Context, c Cluster, p *spec.Point, sent map[string]string) error {
	for _, l := range p.Loads {
		for _, phase := range l.Phases {
			t := phase.Arrival.Trace
			if t == nil {
				continue
			}
			for _, path := range []string{t.Path, t.Metadata} {
				if path == "" || sent[path] != "" {
					continue
				}
				sent[path] = "traces/" + t.SHA256 + "-" + filepath.Base(path)
				if err := put(ctx, c, x.run.Manifest.RunID, sent[path], path); err != nil {
					return fmt.Errorf("trace %s: %w", t.Name, err)
				}
			}
		}
	}
	return nil
}

func put(ctx context.Context, c Cluster, run, path, from string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	return c.Controller.Put(ctx, run, path, f)
}

func short(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:16])
}

// conductGrace is how long the controller may take to end daemons and keep what they measured.
const conductGrace = 2 * time.Minute

// attend starts the job where it does not run, shows how it stands, and brings the
// results home. When ctx ends, it ends the run on its hosts too.
func (x *execution) attend(ctx context.Context, c Cluster, job Job) (*result.Run, hcl.Diagnostics, error) {
	x.engine = elsewhere{}
	name, err := x.conductor(ctx, c, job)
	if err == nil {
		err = x.follow(ctx, c, job.Run, name)
	}
	if err != nil {
		return nil, nil, errors.Join(err, x.run.Close())
	}
	home := context.WithoutCancel(ctx)
	if err := errors.Join(x.collect(home, c), x.run.Reload()); err != nil {
		return nil, nil, errors.Join(err, x.run.Close())
	}
	run, diags, err := x.conclude(ctx)
	if err != nil {
		return nil, diags, err
	}
	_, err = c.Controller.Forget(home, job.Run)
	return run, diags, err
}

// conductPrefix begins the name of a daemon that executes a run.
const conductPrefix = "conduct-"

// conductor is the name of the daemon that executes the job, started if need be.
func (x *execution) conductor(ctx context.Context, c Cluster, job Job) (string, error) {
	description, err := c.Controller.Describe(ctx)
	if err != nil {
		return "", err
	}
	ended := 0
	for _, run := range description.Runs {
		for _, d := range run.Daemons {
			switch {
			case !strings.HasPrefix(d.Name, conductPrefix):
			case d.Exit == nil && run.ID != job.Run:
				return "", fmt.Errorf("%w: run %s is under way on cluster %s", node.ErrLocked, run.ID, c.Name)
			case d.Exit == nil:
				return d.Name, nil
			case run.ID == job.Run:
				ended++
			}
		}
	}
	attempt := strconv.Itoa(ended + 1)
	name := conductPrefix + attempt
	return name, c.Controller.Start(ctx, node.Task{
		Run: job.Run, Name: name, Args: []string{"conduct", "--lifeline", "--attempt", attempt, "{dir}/../" + jobFile}, Grace: conductGrace,
	})
}

// follow shows what a conductor says until it ends.
func (x *execution) follow(ctx context.Context, c Cluster, run, name string) error {
	points := map[string]*spec.Point{}
	for i := range x.exp.Points {
		points[x.exp.Points[i].ID] = &x.exp.Points[i]
	}
	exit, err := Watch(ctx, c.Controller, run, name, 0, func(s Standing) {
		if s.Stage != Reclaiming {
			x.tell(Progress{Point: points[s.Point], Step: s.Step, Steps: s.Steps, Repeat: s.Repeat, Stage: s.Stage, Load: s.Load, Message: s.Message})
		}
	})
	if err != nil && ctx.Err() != nil {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), conductGrace+node.Patience)
		defer cancel()
		exit, err = c.Controller.Stop(stop, run, name)
	}
	if err == nil {
		err = exit.Err()
	}
	if err != nil {
		return fmt.Errorf("run %s on host %s: %w\nwhat it has measured is kept there: ainur run --resume %s", run, c.Controller.Name, err, run)
	}
	return nil
}

// collect brings home what of the result directory is not here, or is other here.
func (x *execution) collect(ctx context.Context, c Cluster) error {
	run := x.run.Manifest.RunID
	files, err := c.Controller.Files(ctx, run, resultFolder)
	if err != nil {
		return err
	}
	for _, f := range files {
		path := filepath.Join(x.run.Dir, strings.TrimPrefix(f.Path, resultFolder+"/"))
		if err := fetch(ctx, c.Controller, run, f, path); err != nil {
			return fmt.Errorf("collect %s: %w", f.Path, err)
		}
	}
	return nil
}

// Bring brings home what has ended of a run that its controller executes, or has
// left, up to so many bytes, and returns those that came. The run stays what it was. What
// is over the limit is named.
func Bring(ctx context.Context, dir string, from node.Host, most int64) (size int64, over []string, err error) {
	run, err := result.Reopen(dir)
	if err != nil {
		return 0, nil, err
	}
	defer func() { err = errors.Join(err, run.Close()) }()
	for again := range 3 { // it goes on: a file may be another by the time that it is fetched
		var n int64
		n, over, err = bring(ctx, run, from, most-size)
		size += n
		if err == nil || ctx.Err() != nil || again == 2 {
			return size, over, err
		}
	}
	return size, over, nil
}

func bring(ctx context.Context, run *result.Run, from node.Host, most int64) (size int64, over []string, err error) {
	id := run.Manifest.RunID
	files, err := from.Files(ctx, id, resultFolder)
	if err != nil {
		return 0, nil, err
	}
	var under []string // folders of repeats that have not ended
	for _, f := range files {
		if filepath.Base(f.Path) != result.StatusFile {
			continue
		}
		var text bytes.Buffer
		var status result.Repeat
		if err := errors.Join(node.Copy(ctx, from, id, f.Path, 0, &text, node.MaxTask), json.Unmarshal(text.Bytes(), &status)); err != nil {
			return 0, nil, fmt.Errorf("collect %s: %w", f.Path, err)
		}
		if status.State == result.Running {
			under = append(under, filepath.Dir(f.Path)+"/")
		}
	}
	for _, f := range files {
		name := strings.TrimPrefix(f.Path, resultFolder+"/")
		path := filepath.Join(run.Dir, name)
		if strings.HasPrefix(filepath.Base(name), ".") { // it is being written
			continue
		}
		if slices.ContainsFunc(under, func(dir string) bool { return strings.HasPrefix(f.Path, dir) }) {
			continue
		}
		if sum, err := digest.File(path); err == nil && sum == f.SHA256 {
			continue
		}
		if size+f.Size > most {
			over = append(over, name)
			continue
		}
		if err := fetch(ctx, from, id, f, path); err != nil {
			return size, over, fmt.Errorf("collect %s: %w", f.Path, err)
		}
		size += f.Size
	}
	return size, over, nil
}

// partial is what a file that is not all there is called.
const partial = ".partial"

// fetch makes path the file f of a host. What was there of it already is not sent
// again. A file that is locked is written in place.
func fetch(ctx context.Context, from node.Host, run string, f node.File, path string) error {
	if sum, err := digest.File(path); err == nil && sum == f.SHA256 {
		if err := os.Remove(path + partial); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	for again := range 2 {
		part, err := os.OpenFile(path+partial, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
		if err != nil {
			return err
		}
		info, err := part.Stat()
		if err == nil {
			err = node.Copy(ctx, from, run, f.Path, info.Size(), part, f.Size-info.Size())
		}
		if err := errors.Join(err, part.Close()); err != nil {
			return err
		}
		sum, err := digest.File(path + partial)
		if err != nil {
			return err
		}
		if sum == f.SHA256 {
			return settle(path)
		}
		if err := os.Remove(path + partial); err != nil {
			return err
		}
		if again > 0 {
			return fmt.Errorf("its content is not what the host says it is")
		}
	}
	return nil
}

// settle makes path hold what its partial file does. The ledger stays the file that it is: it is locked.
func settle(path string) error {
	if filepath.Base(path) != "ledger.jsonl" {
		return os.Rename(path+partial, path)
	}
	content, err := os.ReadFile(path + partial)
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(path, content, 0o644), os.Remove(path+partial))
}

// elsewhere is the engine of a run that another host executes.
type elsewhere struct{}

func (elsewhere) repeat(context.Context, *spec.Point, plan.Step, string) (outcome, error) {
	return outcome{}, errors.New("it is executed elsewhere")
}
func (elsewhere) facts(context.Context) (map[string]spec.Facts, error) { return nil, nil }
func (elsewhere) decisions() (string, bool)                            { return "", false }
func (elsewhere) close() error                                         { return nil }
