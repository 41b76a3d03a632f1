package schema

// later are blocks of the design that this version does not know.
var later = []string{"secret", "module", "func", "simulate", "collect", "claim", "report", "check"}

var arrival = &Block{
	Type: "arrival", Label: "model", Once: true, Doc: "When calls are made. Each function draws from its own seeded stream.",
	Variants: []*Block{
		{Type: "constant", Doc: "Open loop, evenly spaced.", Attrs: []Attr{
			{Name: "rate", Type: positive(Rate), Required: true, Doc: "of all functions together"},
		}},
		{Type: "poisson", Doc: "Open loop, exponential gaps.", Attrs: []Attr{
			{Name: "rate", Type: positive(Rate), Required: true, Doc: "of all functions together"},
		}},
		{Type: "trace", Doc: "Open loop, the times and functions of a trace.", Attrs: []Attr{
			{Name: "trace", Type: ref("trace"), Required: true, Doc: "what to replay; a later phase goes on where the one before it stopped"},
			{Name: "speed", Type: positive(Number), Default: "1", Doc: "10 replays ten times faster"},
		}},
		{Type: "closed", Doc: "Closed loop: each client calls again after its reply.", Attrs: []Attr{
			{Name: "clients", Type: Type{Kind: Int, Positive: true, Max: 1_000_000}, Required: true, Doc: "how many call at the same time"},
			{Name: "think", Type: plain(Dist), Default: `"0s"`, Doc: "pause of a client between reply and next call"},
		}},
	},
}

func policy(kind string) *Block {
	return &Block{Type: kind, Label: "name", Once: true, Policy: kind, Doc: "The policy with its options; the short form is `" + kind + " = \"name\"`."}
}

// Root is the body of a file.
var Root = &Block{Blocks: []*Block{
	{
		Type: "ainur", Once: true, Doc: "What the file needs of ainur.",
		Attrs: []Attr{
			{Name: "language", Type: Type{Kind: Int, Positive: true, Max: 1}, Default: "1", Doc: "version of the language"},
		},
	},
	{
		Type: "variable", Label: "name", Doc: "An input: `--var name=value`.",
		Attrs: []Attr{
			{Name: "type", Type: plain(Expr), Default: "any", Doc: "type constraint, such as `number` or `list(string)`"},
			{Name: "default", Type: plain(Expr), Doc: "value when none is given; without one the variable is required"},
			{Name: "description", Type: plain(String)},
			{Name: "sensitive", Type: plain(Bool), Default: "false", Doc: "never shown or recorded"},
			{Name: "nullable", Type: plain(Bool), Default: "true", Doc: "whether null is a value"},
		},
		Blocks: []*Block{{
			Type: "validation", Doc: "A condition on the value.",
			Attrs: []Attr{
				{Name: "condition", Type: plain(Expr), Required: true, Doc: "bool, of the variable itself"},
				{Name: "error_message", Type: plain(Expr), Required: true, Doc: "what to say when it is false"},
			},
		}},
	},
	{Type: "locals", Free: true, Doc: "Named expressions: `local.name`."},
	{
		Type: "cluster", Label: "name", Doc: "A set of hosts. Exports `hosts`, `host[name]` and `with_role[role]`.",
		Blocks: []*Block{{
			Type: "host", Label: "name", Required: true, Doc: "One machine. Exports `facts` from plan on.",
			Attrs: []Attr{
				{Name: "address", Type: plain(String), Required: true, Doc: "name or IP address"},
				{Name: "connection", Type: enum("local").later("ssh", "netns"), Required: true, Doc: "how it is reached"},
				{Name: "roles", Type: plain(Strings), Default: "[]", Doc: "free words, for with_role"},
				{Name: "labels", Type: plain(Map), Default: "{}", Doc: "free names and values"},
			},
		}},
	},
	{
		Type: "worker", Label: "name", ForEach: true, Doc: "An agent on a host, which runs functions in sandboxes.",
		Attrs: []Attr{
			{Name: "on", Type: ref("host"), Required: true, Doc: "its host, or a list of exactly one"},
			{Name: "isolation", Type: enum("process").later("wasm", "containerd", "docker"), Default: `"process"`, Doc: "what a sandbox is made of"},
			{Name: "cores", Type: positive(Number), Doc: "capacity; default: the logical cores of the host"},
			{Name: "memory", Type: positive(Bytes), Doc: "capacity for sandboxes; default: 80 % of the host's"},
			{Name: "queue", Type: plain(Policy), Default: `"fcfs"`, Doc: "which waiting invocation starts first"},
			{Name: "keepalive", Type: plain(Policy), Default: `"ttl"`, Doc: "which idle sandboxes stay, and how long"},
			{Name: "log_level", Type: enum("debug", "info", "warn", "error"), Default: `"info"`},
			{Name: "env", Type: plain(Map), Default: "{}", Doc: "environment of the agent"},
		},
		Blocks: []*Block{policy("queue"), policy("keepalive")},
	},
	{
		Type: "balancer", Label: "name", ForEach: true, Doc: "The entry point of a cluster: it picks a worker for each invocation.",
		Attrs: []Attr{
			{Name: "on", Type: ref("host"), Required: true, Doc: "its host, or a list of exactly one"},
			{Name: "workers", Type: ref("worker").many(), Required: true, Doc: "where it may send"},
			{Name: "policy", Type: plain(Policy), Default: `"round_robin"`, Doc: "which worker"},
			{Name: "port", Type: Type{Kind: Int, Max: 65535}, Default: "0", Doc: "of the HTTP front; 0 is any free one"},
		},
		Blocks: []*Block{policy("policy")},
	},
	{
		Type: "function", Label: "name", ForEach: true, Doc: "Code with its limits: either `builtin`, or `runtime` with `source`.",
		Attrs: []Attr{
			{Name: "builtin", Type: enum("hello", "busy", "sleep", "memory"), Doc: "a function inside ainur"},
			{Name: "runtime", Type: enum("python3", "go", "exec").later("wasm"), Doc: "what runs the source"},
			{Name: "source", Type: plain(String), Doc: "path, from the file's folder: a folder with main.py, a folder that `go build` builds, or an executable"},
			{Name: "image", Type: plain(Later), Doc: "use builtin, or runtime with source"},
			{Name: "memory", Type: positive(Bytes), Required: true, Doc: "limit of a sandbox"},
			{Name: "cpus", Type: positive(Number), Default: "1", Doc: "what an invocation takes of the worker's cores"},
			{Name: "timeout", Type: positive(Duration), Default: `"60s"`, Doc: "of one execution"},
			{Name: "prewarm", Type: Type{Kind: Int, Max: 10_000}, Default: "0", Doc: "sandboxes made on each worker before the load starts"},
			{Name: "env", Type: plain(Map), Default: "{}", Doc: "environment of the code"},
			{Name: "args", Type: plain(Any), Default: "{}", Doc: "object sent with each call"},
		},
		Blocks: []*Block{{
			Type: "profile", Once: true, Doc: "How the function behaves in virtual time.",
			Attrs: []Attr{
				{Name: "warm", Type: plain(Dist), Required: true, Doc: "execution in a warm sandbox"},
				{Name: "cold", Type: plain(Dist), Required: true, Doc: "time to make a sandbox ready"},
				{Name: "memory", Type: plain(Bytes), Doc: "of a sandbox; default: the function's limit"},
			},
		}},
	},
	{
		Type: "trace", Label: "name", Doc: "A recorded workload. Exports `functions`, `calls`, `duration` and `hash`.",
		Attrs: []Attr{
			{
				Name: "format", Type: enum("iluvatar").later("azure2019", "azure2021", "huawei2023", "ibm2026", "invitro", "csv"),
				Required: true, Doc: "iluvatar: a CSV pair of invocations and functions",
			},
			{Name: "path", Type: plain(String), Required: true, Doc: "the invocations, from the file's folder"},
			{Name: "metadata", Type: plain(String), Required: true, Doc: "the functions, from the file's folder"},
			{
				Name: "map_to", Type: plain(Any), Required: true,
				Doc: "what serves the calls: one function, or `{ method = \"nearest_duration\", functions = [...] }`; builtin busy stands for every trace function, each with its own duration",
			},
			{Name: "scale_duration", Type: positive(Number), Default: "1", Doc: "multiplies the durations of busy"},
			{Name: "max_duration", Type: positive(Duration), Doc: "caps the durations of busy"},
		},
	},
	{
		Type: "load", Label: "name", Doc: "Calls to make.",
		Attrs: []Attr{
			{Name: "target", Type: ref("balancer", "worker"), Required: true, Doc: "where the calls go"},
			{Name: "call", Type: ref("function"), Doc: "the only function, or"},
			{Name: "mix", Type: plain(Any), Doc: "functions by name with their weights: `{ hello = 3, busy = 1 }`"},
			{Name: "duration", Type: positive(Duration), Required: true, Unless: "phase"},
			{Name: "warmup", Type: plain(Duration), Default: `"0s"`, Doc: "calls before, recorded apart: never in statistics"},
			{Name: "cooldown", Type: plain(Duration), Default: `"0s"`, Doc: "calls after, recorded apart: never in statistics"},
			{Name: "timeout", Type: positive(Duration), Doc: "deadline of a call; default: the function's and 30 s for its start"},
			{Name: "max_in_flight", Type: Type{Kind: Int, Positive: true, Max: 10_000_000}, Default: "10000", Doc: "calls over it are dropped and recorded so: a safety cap, never a throttle"},
			{Name: "on_saturation", Type: enum("invalid", "abort", "record"), Default: `"invalid"`, Doc: "when the cap or the lag limit is hit"},
			{Name: "lag_limit", Type: positive(Duration), Default: `"1ms"`, Doc: "at p99: a generator later than that did not make the load asked for"},
			{Name: "measure_from", Type: enum("intended", "actual"), Default: `"intended"`, Doc: "what latency counts from; both times are recorded"},
		},
		Blocks: []*Block{
			arrival,
			{
				Type: "phase", Label: "name", Doc: "A stretch of load; phases follow one another.",
				Attrs: []Attr{
					{Name: "duration", Type: positive(Duration), Required: true},
					{Name: "record", Type: plain(Bool), Default: "true", Doc: "false leaves it out of statistics"},
					{Name: "mix", Type: plain(Any), Doc: "instead of the load's"},
				},
				Blocks: []*Block{arrival},
			},
		},
	},
	{
		Type: "sweep", Label: "name", Doc: "Combinations to try: `sweep.name.point.axis` is the value at a point.",
		Attrs: []Attr{
			{Name: "mode", Type: enum("grid").later("zip", "list", "random", "latin", "pairs"), Default: `"grid"`, Doc: "every combination"},
			{Name: "order", Type: enum("interleaved", "nested", "random"), Doc: "default of the experiment's"},
			{Name: "on_failure", Type: enum("continue", "stop"), Default: `"continue"`, Doc: "when a repeat fails"},
		},
		Blocks: []*Block{
			{
				Type: "axis", Label: "name", Required: true, Doc: "One thing to vary; the first varies slowest.",
				Attrs: []Attr{{Name: "values", Type: plain(Any), Required: true, Doc: "list"}},
			},
			{
				Type: "exclude", Doc: "Combinations to leave out.",
				Attrs: []Attr{
					{Name: "when", Type: plain(Expr), Required: true, Doc: "bool, of `point.axis`"},
					{Name: "reason", Type: plain(String), Doc: "recorded beside them"},
				},
			},
		},
	},
	{
		Type: "experiment", Label: "name", Doc: "What a run does.",
		Attrs: []Attr{
			{Name: "title", Type: plain(String), Required: true, Doc: "one line"},
			{Name: "description", Type: plain(String)},
			{Name: "cluster", Type: ref("cluster"), Required: true},
			{Name: "worker", Type: ref("worker"), Required: true, Unless: "workers"},
			{Name: "workers", Type: ref("worker").many(), Doc: "several, instead of worker"},
			{Name: "balancer", Type: ref("balancer"), Doc: "default: the target of the load"},
			{Name: "load", Type: ref("load").many(), Required: true, Doc: "one, or a list that runs at the same time"},
			{Name: "sweep", Type: ref("sweep")},
			{Name: "repeat", Type: Type{Kind: Int, Positive: true, Max: 1_000_000}, Default: "10", Doc: "executions of each point"},
			{Name: "order", Type: enum("interleaved", "nested", "random"), Doc: "of points and repeats; default: the sweep's, else interleaved"},
			{Name: "seed", Type: Type{Kind: Int}, Default: "0", Doc: "of everything random; 0 is a seed too, and warned about"},
			{Name: "cooldown", Type: plain(Duration), Default: `"0s"`, Doc: "pause between two repeats"},
			{Name: "timeout", Type: plain(Duration), Default: `"0s"`, Doc: "of one repeat; 0s is none"},
		},
	},
	{
		Type: "assert", Label: "name", Doc: "A claim about the results that a run checks.",
		Attrs: []Attr{
			{Name: "that", Type: plain(Expr), Required: true, Doc: "bool, of `load.name` results"},
			{Name: "error", Type: plain(Expr), Doc: "what to say when it does not hold"},
			{Name: "severity", Type: enum("error", "warning"), Default: `"error"`},
			{Name: "experiment", Type: ref("experiment"), Doc: "default: those that run the loads it names"},
			{Name: "each", Type: enum("point", "repeat"), Default: `"point"`, Doc: "point: counts summed and quantiles the median over its repeats"},
		},
	},
	{
		Type: "output", Label: "name", Doc: "A value to report at each point.",
		Attrs: []Attr{
			{Name: "value", Type: plain(Expr), Required: true},
			{Name: "description", Type: plain(String)},
			{Name: "sensitive", Type: plain(Bool), Default: "false", Doc: "never shown or recorded"},
		},
	},
}}
