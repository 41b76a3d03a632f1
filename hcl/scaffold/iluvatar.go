package scaffold

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"github.com/ainur-faas/ainur/hcl"
)

// Iluvatar is the experiment that a worker.json of Ilúvatar 0.3 describes, or a
// folder with one and with traces: pairs of CSV files, of invocations and of
// functions. Folder is where the experiment will be: its paths count from there.
// What has no counterpart is noted, and a comment in the text.
func Iluvatar(path, folder string) (Experiment, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Experiment{}, fmt.Errorf("read %s: %w", path, err)
	}
	im := &importer{config: newSettings(nil), folder: folder}
	if info.IsDir() {
		err = im.dir(path)
	} else {
		err = im.worker(path)
	}
	if err != nil {
		return Experiment{}, err
	}
	return im.write()
}

// importer turns files of Ilúvatar into an experiment.
type importer struct {
	config *settings
	traces []pair
	local  bool     // the worker is on this machine
	folder string   // of the experiment
	read   []string // files that it is made of
	notes  notes
}

// worker reads a worker.json.
func (im *importer) worker(path string) error {
	src, err := read(path)
	if err != nil {
		return err
	}
	values, err := flatten(src)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if !isWorker(values) {
		return fmt.Errorf("%s: it has no container_resources: it is no worker.json of Ilúvatar", path)
	}
	im.config = newSettings(values)
	im.read = append(im.read, from(path))
	return nil
}

func isWorker(values []setting) bool {
	return slices.ContainsFunc(values, func(s setting) bool { return strings.HasPrefix(s.key, "container_resources.") })
}

// dir reads the files of a folder that it knows, and notes the others.
func (im *importer) dir(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return err
	}
	var workers []string
	for _, file := range files {
		src, err := read(file)
		if err != nil {
			return err
		}
		if values, err := flatten(src); err == nil && isWorker(values) {
			workers = append(workers, file)
			continue
		}
		im.notes.add("%s is not read: it is no worker.json.", from(file))
	}
	if i := slices.Index(workers, filepath.Join(dir, "worker.json")); i >= 0 && len(workers) > 1 {
		for _, w := range slices.Delete(slices.Clone(workers), i, i+1) {
			im.notes.add("%s is not read: worker.json is.", from(w))
		}
		workers = workers[i : i+1]
	}
	switch len(workers) {
	case 0:
		im.notes.add("there is no worker.json: the worker has defaults.")
	case 1:
		if err := im.worker(workers[0]); err != nil {
			return err
		}
	default:
		return fmt.Errorf("%s has several configurations of a worker: name one of %s", dir, strings.Join(workers, ", "))
	}
	if err := im.findTraces(dir); err != nil {
		return err
	}
	if len(workers)+len(im.traces) == 0 {
		return fmt.Errorf("%s has no worker.json and no trace of Ilúvatar", dir)
	}
	return nil
}

// unmatched are the settings of a worker that have no counterpart, and why. The
// longest prefix counts. Off says that false, 0 and "" mean it is not used.
var unmatched = []struct {
	prefix, why string
	off         bool
}{
	{"port", "an agent chooses its port", false},
	{"timeout_sec", "functions and loads have timeouts, and the interface of a worker has none", false},
	{"tokio_", "settings of its Rust runtime", false},
	{"load_balancer_", "a balancer names its workers", true},
	{"load_balancer_url", "Ilúvatar does not read it either", true},
	{"limits.", "what a function may ask for is bounded by the capacity of the worker", false},
	{"logging.", "logs are kept with the results", true},
	{"container_resources.startup_timeout_ms", "a load waits for the timeout of a function and 30 s for its start", false},
	{"container_resources.pool_freq_ms", "nothing is polled", false},
	{"container_resources.docker_config.", "images are taken by digest", false},
	{"container_resources.cpu_resource.", "its way of changing the concurrency; see concurrency = \"aimd\"", true},
	{"container_resources.gpu_resource.", "GPUs are shared by mps, mig or slots and tokens alone", true},
	{"networking.", "ainur makes the network itself", true},
	{"networking.pool_freq_ms", "nothing is polled", false},
	{"energy.", "a collect block measures: metrics = [\"rapl\", \"perf\"]", true},
	{"energy.log_folder", "files are kept with the results", false},
	{"energy_cap.", "power is not capped", true},
	{"invocation.retries", "a load retries, not a worker", true},
	{"invocation.queue_sleep_ms", "nothing is polled", false},
	{"invocation.queues.", "a queue for CPU, and one for GPUs", false},
	{"invocation.queue_policies.", "a queue for CPU, and one for GPUs", false},
	{"invocation.power_cap", "Ilúvatar does not read it either", true},
	{"invocation.", "options of its choice between CPU and GPU, and of its queues for GPUs", true},
	{"status.", "loads are not reported, the balancer counts", false},
	{"influx.", "results are files", true},
	{"http_server.", "agents speak gRPC", true},
}

// rest notes every setting that is left, one note for each reason.
func (im *importer) rest() {
	reasons := map[string][]string{}
	var order []string
	for _, s := range im.config.left {
		why, off, longest := "unknown to Ilúvatar 0.3", false, -1
		for _, u := range unmatched {
			if strings.HasPrefix(s.key, u.prefix) && len(u.prefix) > longest {
				why, off, longest = u.why, u.off, len(u.prefix)
			}
		}
		if s.value == nil || off && (s.value == false || s.value == "" || s.value == json.Number("0") || s.value == json.Number("0.0")) {
			continue
		}
		shown := s.key + " = " + show(s.value)
		if secret(s.key) || strings.Contains(s.key, ".auth.") {
			shown = s.key + " (a secret)"
		}
		if reasons[why] == nil {
			order = append(order, why)
		}
		reasons[why] = append(reasons[why], shown)
	}
	for _, why := range order {
		im.notes.add("%s: %s.", strings.Join(reasons[why], ", "), why)
	}
}

// Names that the policies of Ilúvatar have here.
var queues = map[string]string{
	"fcfs": "fcfs", "minheap": "sjf", "minheap_ed": "eedf", "minheap_iat": "rare",
	"cold_pri": "cold_priority", "scaling": "avail_scale", "none": "none",
}

// workerBlocks writes the cluster and the worker.
func (im *importer) workerBlocks(body *hclwrite.Body) (name string) {
	c := im.config
	original := c.text("name")
	name = identifier(original, "w")
	if original == "" {
		name = "worker"
	}
	h := Host{Name: name, Address: "127.0.0.1", Local: true, Roles: []string{"worker", "load"}}
	if a := c.text("address"); !slices.Contains([]string{"", "127.0.0.1", "0.0.0.0", "localhost", "::1", "::"}, a) {
		h.Address, h.Local = a, false
	}
	if original != name && original != "" {
		h.Labels = map[string]string{"original_name": original}
	}
	bridge := slices.ContainsFunc(c.left, func(s setting) bool { return strings.HasPrefix(s.key, "networking.") })
	if nic := c.text("networking.hardware_interface"); !h.Local {
		h.NIC = nic
	} else if nic != "" {
		im.notes.add("networking.hardware_interface = %q: the worker is on this machine.", nic)
	}
	im.local = h.Local

	cluster := body.AppendNewBlock("cluster", []string{"lab"}).Body()
	hostBlock(cluster.AppendNewBlock("host", []string{name}).Body(), name, h, Host{})
	body.AppendNewline()

	w := body.AppendNewBlock("worker", []string{name}).Body()
	w.SetAttributeRaw("on", reference("cluster", "lab", "host", name))
	configured := len(im.config.left) > 0
	if configured {
		isolation := "docker"
		if bridge {
			isolation = "containerd"
		}
		setText(w, "isolation", isolation)
	}
	if cores, ok := c.number("container_resources.cpu_resource.count"); ok && cores > 0 {
		setNumber(w, "cores", int(cores))
	} else if ok {
		im.notes.add("container_resources.cpu_resource.count = 0 has no limit: here it is the cores of the host.")
	}
	if memory, ok := c.number("container_resources.memory_mb"); ok && memory > 0 {
		setText(w, "memory", mebibytes(memory))
	}
	if buffer, ok := c.number("container_resources.memory_buffer_mb"); ok && buffer > 0 {
		setText(w, "free_buffer", mebibytes(buffer))
	}
	im.queue(w)
	idle := im.eviction(w)
	im.logLevel(w)
	im.gpuPolicies(w)
	if idle > 0 {
		w.AppendNewline()
		w.AppendNewBlock("keepalive", []string{"ttl"}).Body().SetAttributeValue("idle", cty.StringVal(strconv.FormatInt(idle, 10)+"s"))
	}
	if configured {
		im.containers(w, bridge)
		im.gpus(w)
	}
	body.AppendNewline()
	return name
}

// mebibytes is a size as the language has it. Ilúvatar counts an MB as a MiB.
func mebibytes(n int64) string {
	if n%1024 == 0 {
		return fmt.Sprintf("%dGiB", n/1024)
	}
	return fmt.Sprintf("%dMiB", n)
}

func (im *importer) queue(w *hclwrite.Body) {
	for _, key := range []string{"invocation.queue_policies.CPU", "invocation.queue_policies.cpu"} {
		theirs := im.config.text(key)
		if theirs == "" {
			continue
		}
		ours, known := queues[theirs]
		if !known {
			im.notes.add("%s = %q: there is no such queue.", key, theirs)
			continue
		}
		setText(w, "queue", ours)
	}
}

// eviction writes which containers stay, and returns the seconds of a TTL.
func (im *importer) eviction(w *hclwrite.Body) (idle int64) {
	const key = "container_resources.eviction"
	for _, name := range []string{key + ".TTL.timout_sec", key + ".TTL.timeout_sec"} { // the first is how Ilúvatar spells it
		if n, ok := im.config.number(name); ok {
			idle = n
		}
	}
	switch theirs := im.config.text(key); theirs {
	case "":
	case "LRU":
		setText(w, "keepalive", "lru")
	case "GreedyDual":
		setText(w, "keepalive", "gdsf")
		im.notes.add("%s = %q: Ilúvatar 0.3 leaves it undone, gdsf is what it would be.", key, theirs)
	default:
		im.notes.add("%s = %q: there is no such policy.", key, theirs)
	}
	return idle
}

func (im *importer) logLevel(w *hclwrite.Body) {
	switch level := strings.ToLower(im.config.text("logging.level")); level {
	case "":
	case "debug", "info", "warn", "error":
		setText(w, "log_level", level)
	case "trace":
		setText(w, "log_level", "debug")
		im.notes.add("logging.level = %q: debug is the most there is.", level)
	default:
		im.notes.add("logging.level = %q: there is one level, not a filter.", level)
	}
}

// containers writes how containers are made.
func (im *importer) containers(w *hclwrite.Body, bridge bool) {
	b := hclwrite.NewBlock("container", nil)
	setText(b.Body(), "snapshotter", im.config.text("container_resources.snapshotter"))
	if bridge {
		setText(b.Body(), "network", "bridge")
	}
	if n, ok := im.config.number("container_resources.concurrent_creation"); ok && n > 0 {
		setNumber(b.Body(), "concurrent_creation", int(n))
	} else if ok {
		im.notes.add("container_resources.concurrent_creation = 0 has no limit: here it adapts.")
	}
	size, _ := im.config.number("networking.pool_size")
	if im.config.flag("networking.use_pool") && size > 0 {
		b.Body().AppendNewline()
		setNumber(b.Body().AppendNewBlock("pool", nil).Body(), "namespaces", int(size))
	}
	if len(b.Body().Attributes()) > 0 {
		w.AppendNewline()
		w.AppendBlock(b)
	}
}

// gpus writes the GPUs of a worker that has some.
func (im *importer) gpus(w *hclwrite.Body) {
	const key = "container_resources.gpu_resource."
	count, _ := im.config.number(key + "count")
	if count == 0 {
		return
	}
	w.AppendNewline()
	b := w.AppendNewBlock("gpu", nil).Body()
	setNumber(b, "count", int(count))
	if memory, _ := im.config.number(key + "memory_mb"); memory > 0 {
		setText(b, "memory", mebibytes(memory))
	}
	if im.config.flag(key + "use_standalone_mps") {
		b.SetAttributeValue("mps", cty.True)
	}
	if shares, _ := im.config.number(key + "mig_shares"); shares > 0 {
		b.SetAttributeValue("mig", cty.True)
		im.notes.add("%smig_shares = %d: the parts of a GPU are those it has.", key, shares)
	}
	if slots, _ := im.config.number(key + "funcs_per_device"); slots > 0 {
		setNumber(b, "slots", int(slots))
	}
	if tokens, _ := im.config.number(key + "concurrent_running_funcs"); tokens > 0 {
		setNumber(b, "tokens", int(tokens))
	}
}

// gpuPolicies writes what waits for a GPU first, and what goes there. Names that both have are the same, or aliases.
func (im *importer) gpuPolicies(w *hclwrite.Body) {
	theirs, choose := im.config.text("invocation.queue_policies.GPU"), ""
	if im.config.text("invocation.queues.GPU") == "mqfq" || strings.HasPrefix(theirs, "mqfq") {
		theirs, choose = "mqfq", strings.TrimPrefix(strings.TrimPrefix(theirs, "mqfq"), "_")
	}
	if place := im.config.text("invocation.enqueueing_policy"); place != "" {
		setText(w, "placement", place)
	}
	switch {
	case choose != "":
		w.AppendNewline()
		setText(w.AppendNewBlock("gpu_queue", []string{theirs}).Body(), "choose", choose)
	case theirs != "":
		setText(w, "gpu_queue", theirs)
	}
}

// write makes the experiment.
func (im *importer) write() (Experiment, error) {
	e := Experiment{File: "iluvatar" + hcl.Extension, First: "simulate"}
	f := hclwrite.NewEmptyFile()
	traces := im.traceBlocks(f.Body())
	worker := im.workerBlocks(f.Body())
	im.rest()
	if im.config.err != nil {
		return e, fmt.Errorf("%s: %w", strings.Join(im.read, ", "), im.config.err)
	}
	im.loads(f.Body(), worker, traces)
	if len(traces) > 1 {
		e.First += " --experiment " + traces[0]
	}

	head := hclwrite.NewEmptyFile()
	comment(head.Body(), e.File+": "+strings.Join(im.read, ", ")+" of Ilúvatar")
	comment(head.Body(), "  ainur "+e.First+" "+e.File)
	if len(im.notes) > 0 {
		comment(head.Body(), "")
		comment(head.Body(), "What is not as it was:")
	}
	for _, n := range im.notes {
		comment(head.Body(), "  "+n)
	}
	head.Body().AppendNewline()
	e.Text, e.Notes = hcl.Format(append(head.Bytes(), f.Bytes()...)), im.notes
	return e, nil
}
