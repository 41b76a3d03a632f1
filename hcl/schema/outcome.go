package schema

// outcome are the blocks about what runs, is checked and is reported.
var outcome = []*Block{
	{
		Type: "collect", Label: "name", Doc: "What to bring from the hosts beside the results, of each repeat.",
		Attrs: []Attr{
			{Name: "from", Type: ref("host").many(), Required: true, Doc: "hosts"},
			{Name: "files", Type: plain(Strings), Default: "[]", Doc: "absolute paths, with `*` and `?`"},
			{Name: "journal", Type: plain(Strings), Default: "[]", Doc: "systemd units"},
			{Name: "metrics", Type: enums("cpu", "memory", "disk", "net", "containerd", "cgroup", "perf", "rapl").lacking(Live, "perf"), Default: "[]", Doc: "sampled during a repeat"},
			{Name: "interval", Type: positive(Duration), Default: `"1s"`, Doc: "between samples"},
			{Name: "max_size", Type: positive(Bytes), Default: `"2GiB"`, Doc: "of everything together in a run, per host, as it is stored; what is more is cut off, and told"},
			{Name: "compress", Type: enum("zstd", "none"), Default: `"zstd"`},
		},
		Blocks: []*Block{
			{
				Type: "exec", Label: "name", Doc: "A command whose output is kept.",
				Attrs: []Attr{
					{Name: "command", Type: plain(Strings), Required: true, Doc: "program and arguments"},
					{Name: "when", Type: enum("before", "during", "after"), Default: `"after"`},
				},
			},
			{
				Type: "pcap", Once: true, Doc: "Packets.",
				Attrs: []Attr{
					{Name: "interface", Type: plain(String), Default: `"any"`},
					{Name: "filter", Type: plain(String), Default: `""`, Doc: "as tcpdump takes it"},
					{Name: "snaplen", Type: whole(1, 262_144), Default: "96", Doc: "bytes of each packet"},
				},
			},
		},
	},
	{
		Type: "experiment", Label: "name", Doc: "What a run does.",
		OneOf: []string{"cluster", "simulate"},
		Attrs: []Attr{
			{Name: "title", Type: plain(String), Required: true, Doc: "one line"},
			{Name: "description", Type: plain(String)},
			{Name: "cluster", Type: ref("cluster"), Doc: "the hosts it runs on, or"},
			{Name: "simulate", Type: ref("simulate"), Doc: "how it runs in virtual time"},
			{Name: "worker", Type: ref("worker"), Required: true, Unless: "workers"},
			{Name: "workers", Type: ref("worker").many(), Doc: "several, instead of worker"},
			{Name: "balancer", Type: ref("balancer"), Doc: "default: the target of the load"},
			{Name: "load", Type: ref("load").many(), Required: true, Doc: "one, or a list that runs at the same time"},
			{Name: "collect", Type: ref("collect").many(), Doc: "what to bring from the hosts"},
			{Name: "sweep", Type: ref("sweep")},
			{Name: "points", Type: late(Any, SeesResults), Lacking: Both, Doc: "points of another experiment, such as `best(experiment.screen.results, {...})`"},
			{Name: "repeat", Type: whole(1, 1_000_000), Doc: "executions of each point; default: the sweep's, else 10"},
			{Name: "order", Type: enum("interleaved", "nested", "random"), Doc: "of points and repeats; default: the sweep's, else interleaved"},
			{Name: "seed", Type: Type{Kind: Int}, Default: "0", Doc: "of everything random; 0 is a seed too, and warned about"},
			{Name: "cooldown", Type: plain(Duration), Default: `"0s"`, Doc: "pause between two repeats"},
			{Name: "reset", Type: enum("none", "restart", "reinstall", "reboot").lacking(Live, "none", "reinstall", "reboot"), Default: `"restart"`, Doc: "of the hosts between points"},
			{Name: "timeout", Type: plain(Duration), Default: `"0s"`, Doc: "of one repeat; 0s is none"},
			{Name: "isolate", Type: enum("hosts", "cluster", "none"), Lacking: Live, Doc: "what is locked against other runs"},
			{Name: "tags", Type: plain(Strings), Default: "[]", Doc: "free words, to find its runs"},
			{Name: "authors", Type: plain(Strings), Default: "[]"},
			{Name: "license", Type: plain(String), Doc: "of the results, such as `CC-BY-4.0`"},
		},
		Blocks: []*Block{
			{
				Type: "paper", Once: true, Doc: "What it reproduces.",
				Attrs: []Attr{
					{Name: "title", Type: plain(String), Required: true},
					{Name: "doi", Type: plain(String)},
					{Name: "figure", Type: plain(String)},
					{Name: "url", Type: plain(String)},
					{Name: "notes", Type: plain(String)},
				},
			},
			{
				Type: "budget", Once: true, Doc: "What it may cost: plan and run refuse more.",
				Attrs: []Attr{
					{Name: "time", Type: positive(Duration), Doc: "of the whole run"},
					{Name: "disk", Type: positive(Bytes), Lacking: Both, Doc: "of the results"},
					{Name: "calls", Type: whole(1, 1<<53), Doc: "of all repeats"},
				},
			},
		},
	},
	{
		Type: "assert", Label: "name", Doc: "A claim about the results that a run checks.",
		Attrs: []Attr{
			{Name: "that", Type: late(Bool, SeesResults), Required: true, Doc: "bool, of `load.name`, `result` and `run`"},
			{Name: "error", Type: late(String, SeesResults), Doc: "what to say when it does not hold"},
			{Name: "severity", Type: enum("error", "warning"), Default: `"error"`},
			{Name: "experiment", Type: ref("experiment"), Doc: "default: those that run the loads it names"},
			{Name: "each", Type: enum("run", "point", "repeat"), Default: `"point"`, Doc: "point: counts summed and quantiles the median over its repeats; run: once, of `result`"},
			{Name: "abort", Type: plain(Bool), Default: "false", Lacking: Both, Doc: "ends the run as soon as it does not hold"},
			{Name: "after", Type: plain(Duration), Default: `"0s"`, Lacking: Both, Doc: "of load before abort looks"},
		},
	},
	{
		Type: "claim", Label: "name", Lacking: Both, Doc: "A statement of a paper that a run reproduces or not.",
		Attrs: []Attr{
			{Name: "statement", Type: plain(String), Required: true, Doc: "one sentence"},
			{Name: "that", Type: late(Bool, SeesResults), Required: true, Doc: "bool, of `result`"},
			{Name: "tolerance", Type: plain(Number), Default: "0", Doc: "share by which a number may miss"},
			{Name: "figure", Type: plain(String), Doc: "of the paper"},
			{Name: "applies", Type: late(Bool, SeesFacts), Doc: "bool, of facts: false makes it not applicable"},
			{Name: "otherwise", Type: plain(String), Doc: "what is claimed where it does not apply"},
			{Name: "evidence", Type: ref("report").many(), Doc: "reports that show it"},
		},
	},
	{
		Type: "report", Label: "name", Lacking: Both, Doc: "Tables and figures of the results.",
		Attrs: []Attr{
			{Name: "format", Type: enums("html", "md", "csv", "svg", "pdf", "latex"), Default: `["html"]`},
		},
		Blocks: []*Block{
			{
				Type: "table", Label: "name", Doc: "Points as rows.",
				Attrs: []Attr{
					{Name: "rows", Type: plain(Strings), Required: true, Doc: "axes"},
					{Name: "columns", Type: plain(Strings), Required: true, Doc: "metrics, such as `latency.p99`"},
					{Name: "compare", Type: fields(
						Attr{Name: "base", Type: plain(Any), Required: true, Doc: "the points to compare with"},
						Attr{Name: "test", Type: enum("mann_whitney", "welch", "bootstrap"), Default: `"mann_whitney"`},
						Attr{Name: "correct", Type: enum("holm", "none"), Default: `"holm"`},
					), Doc: "each row with a base: `{ base = { policy = \"round_robin\" }, test = \"mann_whitney\", correct = \"holm\" }`"},
				},
			},
			{
				Type: "plot", Label: "name", Doc: "A figure.",
				Attrs: []Attr{
					{Name: "kind", Type: enum("line", "ecdf", "bar", "box", "heatmap", "timeline"), Default: `"line"`},
					{Name: "x", Type: plain(String), Required: true, Doc: "an axis, or a metric"},
					{Name: "y", Type: plain(String), Doc: "a metric, such as `latency.p99`"},
					{Name: "series", Type: plain(String), Doc: "an axis: a line or colour for each of its values"},
					{Name: "band", Type: enum("ci95", "iqr", "none"), Default: `"none"`},
					{Name: "scale", Type: enum("linear", "log"), Default: `"linear"`},
					{Name: "unit", Type: plain(String), Doc: "of y"},
				},
			},
			{
				Type: "text", Doc: "A paragraph.",
				Attrs: []Attr{{Name: "template", Type: late(String, SeesResults), Required: true, Doc: "string, of results"}},
			},
		},
	},
	{
		Type: "output", Label: "name", Doc: "A value to report at each point, or what a module gives.",
		Attrs: []Attr{
			{Name: "value", Type: late(Any, SeesResults), Required: true},
			{Name: "description", Type: plain(String)},
			{Name: "sensitive", Type: plain(Bool), Default: "false", Doc: "never shown or recorded"},
		},
	},
}
