package scaffold

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/hcl/spec"
)

const workerJSON = `{
  "name": "worker 1", "address": "10.0.0.7", "port": 8079, "timeout_sec": 6000,
  "limits": {"mem_max_mb": 3096},
  "logging": {"level": "warn", "directory": "/tmp/logs", "flame": ""},
  "container_resources": {
    "memory_mb": 20480, "memory_buffer_mb": 1000, "eviction": {"TTL": {"timout_sec": 600}}, "pool_freq_ms": 500,
    "snapshotter": "zfs", "concurrent_creation": 5,
    "cpu_resource": {"count": 12, "max_load": 0.8},
    "gpu_resource": {"count": 2, "memory_mb": 16384, "use_standalone_mps": true, "concurrent_running_funcs": 2, "funcs_per_device": 16},
    "docker_config": {"auth": {"username": "me", "password": "hunter2", "repository": "r"}}
  },
  "networking": {"bridge": "br0", "use_pool": true, "pool_size": 20, "hardware_interface": "eth1"},
  "invocation": {"retries": 0, "queue_policies": {"CPU": "minheap_ed", "GPU": "fcfs"}, "enqueueing_policy": "EstCompTime"},
  "energy": {"rapl_freq_ms": 1000, "perf_freq_ms": 0},
  "influx": {"enabled": false, "token": "s3cret"},
  "nonsense": [1]
}`

// folder makes a folder with files.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const (
	invocations = "func_name,invoke_time_ms\na,1\nb,20\na,900\n"
	functions   = "func_name,cold_dur_ms,warm_dur_ms,mem_mb,image_name\na,200,20,128,x\nb,300,30,256,y\n"
)

func TestIluvatarWorker(t *testing.T) {
	dir := folder(t, map[string]string{"w.json": workerJSON})
	e, err := Iluvatar(filepath.Join(dir, "w.json"), dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`address = "10.0.0.7"`, `nic     = "eth1"`, `original_name = "worker 1"`,
		`worker "worker_1"`, `isolation   = "containerd"`, `cores       = 12`, `memory      = "20GiB"`, `free_buffer = "1000MiB"`,
		`queue       = "eedf"`, `log_level   = "warn"`, `keepalive "ttl" {`, `idle = "600s"`,
		`snapshotter         = "zfs"`, `concurrent_creation = 5`, `namespaces = 20`, `network             = "bridge"`,
		`count  = 2`, `memory = "16GiB"`, `mps    = true`, `slots  = 16`, `tokens = 2`, `gpu_queue   = "fcfs"`, `placement   = "EstCompTime"`,
	} {
		if !strings.Contains(string(e.Text), want) {
			t.Errorf("no %s", want)
		}
	}
	for _, want := range []string{
		"port = 8079", "timeout_sec = 6000", "limits.mem_max_mb = 3096", `logging.directory = "/tmp/logs"`, "container_resources.pool_freq_ms = 500",
		"cpu_resource.max_load = 0.8", "docker_config.auth.password (a secret)", `networking.bridge = "br0"`,
		"energy.rapl_freq_ms = 1000", "influx.token (a secret)",
		"nonsense = [1]: unknown to Ilúvatar", "function and load are made up",
	} {
		if !strings.Contains(strings.Join(e.Notes, "\n"), want) {
			t.Errorf("no note with %s", want)
		}
	}
	for _, gone := range []string{"hunter2", "s3cret", "perf_freq_ms", "flame"} {
		if strings.Contains(string(e.Text), gone) {
			t.Errorf("%s is there", gone)
		}
	}
	if t.Failed() {
		t.Logf("%s", e.Text)
	}
	load(t, filepath.Join(dir, e.File), e.Text)
}

// Each setting of a worker is in the experiment, a note, or off.
func TestIluvatarDropsNothing(t *testing.T) {
	values, err := flatten([]byte(workerJSON))
	if err != nil {
		t.Fatal(err)
	}
	off := []string{"logging.flame", "invocation.retries", "energy.perf_freq_ms", "influx.enabled"}
	used := []string{
		"name", "address", "logging.level", "container_resources.memory_mb", "container_resources.memory_buffer_mb", "container_resources.eviction.TTL.timout_sec",
		"container_resources.snapshotter", "container_resources.concurrent_creation", "container_resources.cpu_resource.count",
		"container_resources.gpu_resource.count", "container_resources.gpu_resource.memory_mb", "container_resources.gpu_resource.use_standalone_mps",
		"container_resources.gpu_resource.concurrent_running_funcs", "container_resources.gpu_resource.funcs_per_device", "invocation.queue_policies.GPU", "invocation.enqueueing_policy", "networking.use_pool", "networking.pool_size", "networking.hardware_interface", "invocation.queue_policies.CPU",
	}
	dir := folder(t, map[string]string{"w.json": workerJSON})
	e, err := Iluvatar(filepath.Join(dir, "w.json"), dir)
	if err != nil {
		t.Fatal(err)
	}
	noted := strings.Join(e.Notes, "\n")
	for _, v := range values {
		if !slices.Contains(off, v.key) && !slices.Contains(used, v.key) && !strings.Contains(noted, v.key+" ") {
			t.Errorf("%s is neither used nor noted", v.key)
		}
	}
}

func TestIluvatarPolicies(t *testing.T) {
	for config, want := range map[string]string{
		`"eviction": "LRU"`:                    `keepalive = "lru"`,
		`"eviction": "GreedyDual"`:             `keepalive = "gdsf"`,
		`"eviction": {"TTL":{"timout_sec":9}}`: `idle = "9s"`,
		`"eviction": "MRU"`:                    `eviction = "MRU": there is no such policy`,
		`"memory_mb": 1500`:                    `memory    = "1500MiB"`,
		`"cpu_resource": {"count": 0}`:         "count = 0 has no limit",
		`"concurrent_creation": 0`:             "concurrent_creation = 0 has no limit",
		`"memory_mb": 0`:                       `isolation = "docker"`,
	} {
		dir := folder(t, map[string]string{"w.json": `{"container_resources": {"snapshotter": "x", ` + config + `}}`})
		e, err := Iluvatar(filepath.Join(dir, "w.json"), dir)
		if err != nil {
			t.Errorf("%s: %v", config, err)
			continue
		}
		if !strings.Contains(string(e.Text), want) {
			t.Errorf("%s: no %s in\n%s", config, want, e.Text)
		}
		load(t, filepath.Join(dir, e.File), e.Text)
	}
	for _, theirs := range slices.Sorted(maps.Keys(queues)) {
		dir := folder(t, map[string]string{"w.json": `{"container_resources": {"memory_mb": 1024}, "invocation": {"queue_policies": {"CPU": "` + theirs + `"}}}`})
		e, err := Iluvatar(filepath.Join(dir, "w.json"), dir)
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(`queue +=  *"` + queues[theirs] + `"`).Match(e.Text) {
			t.Errorf("%s is not %s in\n%s", theirs, queues[theirs], e.Text)
		}
		load(t, filepath.Join(dir, e.File), e.Text)
	}
}

func TestIluvatarTraces(t *testing.T) {
	from := folder(t, map[string]string{
		"worker.json": workerJSON, "other.json": `{"x": 1}`, "notes.csv": "x,y\n1,2\n",
		"in.csv": invocations, "in.meta.csv": functions,
		"latest.trace.csv": "invoke_time_ms,func_name\n5,f1\n", "latest.metadata-trace.csv": "func_name,mem_mb\nf1,64\nf2,64\n",
		"orphan.csv": "func_name,invoke_time_ms\nzzz,1\n",
	})
	into := filepath.Join(filepath.Dir(from), "lab")
	e, err := Iluvatar(from, into)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"other.json is not read", "notes.csv is not read", "orphan.csv is left out", "image_name of in.meta.csv", "latest.metadata-trace.csv has no warm_dur_ms"} {
		if !strings.Contains(strings.Join(e.Notes, "\n"), want) {
			t.Errorf("no note with %s in %q", want, e.Notes)
		}
	}
	m := load(t, filepath.Join(into, e.File), e.Text)
	if diff := cmp.Diff([]string{"in", "latest_2"}, m.Experiments()); diff != "" {
		t.Fatalf("(-want +got):\n%s\n%s", diff, e.Text)
	}
	if want := "simulate --experiment in"; e.First != want {
		t.Errorf("first %q, want %q", e.First, want)
	}
	exp, diags := m.Experiment("in", 0)
	if diags.HasErrors() {
		t.Fatal(problems(m, diags))
	}
	p := exp.Points[0]
	trace := p.Loads[0].Phases[0].Arrival.Trace
	if trace.Calls != 3 || p.Loads[0].Phases[0].Duration != 901*time.Millisecond {
		t.Errorf("got %d calls in %s, want 3 in 901ms", trace.Calls, p.Loads[0].Phases[0].Duration)
	}
	var warm []time.Duration
	for _, f := range p.Functions {
		if f.Name != "busy" {
			warm = append(warm, f.Profile.Warm.Mean)
		}
	}
	if diff := cmp.Diff([]time.Duration{20 * time.Millisecond, 30 * time.Millisecond}, warm); diff != "" {
		t.Errorf("durations (-want +got):\n%s", diff)
	}
	if w := p.Workers[0]; w.MilliCPU != 12_000 || w.Memory != 20*spec.GiB || w.Queue.Name != "eedf" {
		t.Errorf("worker %+v", w)
	}
}

func TestIluvatarErrors(t *testing.T) {
	worker := `{"container_resources": {"memory_mb": 1}}`
	for want, files := range map[string]map[string]string{
		"no worker.json and no trace":       {"a.txt": ""},
		"several configurations":            {"a.json": worker, "b.json": worker},
		"memory_mb is \"x\", want a whole":  {"worker.json": `{"container_resources": {"memory_mb": "x"}}`},
		"logging.level is 3, want text":     {"worker.json": `{"container_resources": {"memory_mb": 1}, "logging": {"level": 3}}`},
		"use_pool is 1, want true or false": {"worker.json": `{"container_resources": {"memory_mb": 1}, "networking": {"use_pool": 1}}`},
		"has no worker.json and":            {"worker.json": `{`},
	} {
		dir := folder(t, files)
		if e, err := Iluvatar(dir, dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v, want an error with %q\n%s", files, err, want, e.Text)
		}
	}
	both := folder(t, map[string]string{"worker.json": worker, "b.json": worker})
	if e, err := Iluvatar(both, both); err != nil || !strings.Contains(strings.Join(e.Notes, " "), "b.json is not read: worker.json is") {
		t.Errorf("got %q and %v, want worker.json read", e.Notes, err)
	}
	for src, want := range map[string]string{"[]": "no JSON object", `{"a":1} x`: "text follows", "{}": "no container_resources", "": "no JSON object"} {
		dir := folder(t, map[string]string{"w.json": src})
		if _, err := Iluvatar(filepath.Join(dir, "w.json"), dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error with %q", src, err, want)
		}
	}
}

// The files that Ilúvatar publishes, where they are.
func TestIluvatarPublished(t *testing.T) {
	const data = "/work/shared/data"
	config, err := os.ReadFile(data + "/benchmarks/iluvatar-worker.json")
	if err != nil {
		t.Skip("the files are not on this machine:", err)
	}
	dir := folder(t, map[string]string{"worker.json": string(config)})
	files, err := filepath.Glob(data + "/traces/iluvatar/*.csv")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := os.Symlink(f, filepath.Join(dir, filepath.Base(f))); err != nil {
			t.Fatal(err)
		}
	}
	e, err := Iluvatar(dir, dir)
	if err != nil {
		t.Fatal(err)
	}
	m := load(t, filepath.Join(dir, e.File), e.Text)
	if diff := cmp.Diff([]string{"basic-trace_in", "paper-repro"}, m.Experiments()); diff != "" {
		t.Errorf("(-want +got):\n%s\n%s", diff, e.Text)
	}
}

// Flattening keeps every value at the end of its path.
func TestFlatten(t *testing.T) {
	got, err := flatten([]byte(`{"a": {"b": {"c": 1, "d": null}}, "e": [ {"f": 2} ], "a": "x", "g": {}}`))
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, s := range got {
		keys = append(keys, s.key+"="+show(s.value))
	}
	if diff := cmp.Diff([]string{"a.b.c=1", "a.b.d=null", `e=[{"f":2}]`, `a="x"`}, keys); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := flatten([]byte(strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40))); err == nil {
		t.Error("40 objects in one another are read")
	}
}

// A size is what it was, in MiB.
func TestMebibytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(1, 1<<31).Draw(t, "MiB")
		text := mebibytes(n)
		want := "MiB"
		if n%1024 == 0 {
			want = "GiB"
		}
		if !strings.HasSuffix(text, want) {
			t.Fatalf("%d MiB is %s", n, text)
		}
	})
}
