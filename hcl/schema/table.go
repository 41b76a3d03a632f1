package schema

import "slices"

// Root is the body of a file, its blocks in the order that a file has them.
var Root = &Block{Blocks: slices.Concat(inputs, testbed, platform, workload, outcome)}

func policy(kind string) *Block {
	return &Block{Type: kind, Label: "name", Once: true, Policy: kind, Doc: "The policy with its options; the short form is `" + kind + " = \"name\"`."}
}

// inputs are the blocks about the file and what it is given.
var inputs = []*Block{
	{
		Type: "ainur", Once: true, Doc: "What the file needs of ainur.",
		Attrs: []Attr{
			{Name: "required_version", Type: plain(String), Doc: "versions of ainur that may run it, such as `>= 0.3, < 1.0`"},
			{Name: "language", Type: whole(1, 1), Default: "1", Doc: "version of the language"},
			{Name: "experiments", Type: enums(), Default: "[]", Doc: "features to try that may still change; there are none"},
		},
	},
	{
		Type: "variable", Label: "name", Doc: "An input: `--var name=value`.",
		Attrs: []Attr{
			{Name: "type", Type: Type{Kind: Expr, Bare: true}, Default: "any", Doc: "type constraint, such as `number` or `list(string)`"},
			{Name: "default", Type: plain(Expr), Doc: "value when none is given; without one the variable is required"},
			{Name: "description", Type: plain(String)},
			{Name: "unit", Type: plain(String), Doc: "of a number, such as `ms`: shown beside it, and added to what `--var` gives when that has none"},
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
	{
		Type: "secret", Label: "name", Doc: "Something that is never stored, hashed, planned or printed. Only `password` of `become` takes one.",
		SomeOf: []string{"env", "file", "command", "prompt"},
		Attrs: []Attr{
			{Name: "env", Type: plain(String), Doc: "environment variable; with prompt, it comes first"},
			{Name: "file", Type: plain(String), Doc: "path of a file that only its owner can read (0600)"},
			{Name: "command", Type: plain(Strings), Doc: "program and arguments; its output without the last newline"},
			{Name: "prompt", Type: plain(String), Doc: "question to ask on the terminal"},
		},
	},
	{Type: "locals", Free: true, Doc: "Named expressions: `local.name`."},
	{
		Type: "func", Label: "name", Doc: "A function for expressions. It may call those of the language, not itself or others.",
		Attrs: []Attr{
			{Name: "params", Type: Type{Kind: Expr, Bare: true}, Required: true, Doc: "names of the parameters: `[a, b]`"},
			{Name: "variadic_param", Type: Type{Kind: Expr, Bare: true}, Doc: "name for a list of all further arguments"},
			{Name: "result", Type: plain(Expr), Required: true, Doc: "expression over the parameters"},
		},
	},
	{
		Type: "module", Label: "name", Free: true, Doc: "Blocks from another folder; other arguments are its variables. Its outputs are `module.name.output`.",
		Attrs: []Attr{
			{Name: "source", Type: plain(Expr), Required: true, Doc: "`./folder`, or `git::https://host/repo//folder?ref=COMMIT`, which `ainur init` fetches"},
		},
	},
}

// arrival is in load and in phase.
var arrival = &Block{
	Type: "arrival", Label: "model", Once: true, Doc: "When calls are made. Each function draws from its own seeded stream.",
	Variants: []*Block{
		{Type: "constant", Doc: "Open loop, evenly spaced.", Attrs: []Attr{
			{Name: "rate", Type: positive(Rate), Required: true, Doc: "of all functions together"},
		}},
		{Type: "poisson", Doc: "Open loop, exponential gaps.", Attrs: []Attr{
			{Name: "rate", Type: positive(Rate), Required: true, Doc: "of all functions together"},
		}},
		{Type: "ramp", Doc: "Open loop, a rate that changes over the phase.", Attrs: []Attr{
			{Name: "from", Type: plain(Rate), Required: true, Doc: "at the beginning"},
			{Name: "to", Type: plain(Rate), Required: true, Doc: "at the end"},
			{Name: "shape", Type: enum("linear", "exponential"), Default: `"linear"`, Doc: "of the rate in between; exponential needs both above 0"},
			{Name: "even", Type: plain(Bool), Default: "false", Doc: "spaced without chance, not a Poisson process"},
		}},
		{Type: "step", Doc: "Open loop, Poisson at one rate after the other.", Lacking: Both, Attrs: []Attr{
			{Name: "rates", Type: plain(Any), Required: true, Doc: "list of rates"},
			{Name: "each", Type: positive(Duration), Required: true, Doc: "how long each lasts"},
		}},
		{Type: "sine", Doc: "Open loop, Poisson at a rate that swings.", Lacking: Both, Attrs: []Attr{
			{Name: "mean", Type: positive(Rate), Required: true},
			{Name: "amplitude", Type: plain(Rate), Required: true, Doc: "at most the mean"},
			{Name: "period", Type: positive(Duration), Required: true},
		}},
		{Type: "burst", Doc: "Open loop, Poisson at two rates in turn for exponential times (MMPP-2).", Lacking: Both, Attrs: []Attr{
			{Name: "base", Type: plain(Rate), Required: true, Doc: "between bursts"},
			{Name: "peak", Type: positive(Rate), Required: true, Doc: "in a burst"},
			{Name: "on", Type: positive(Duration), Required: true, Doc: "mean length of a burst"},
			{Name: "off", Type: positive(Duration), Required: true, Doc: "mean time between bursts"},
		}},
		{Type: "gamma", Doc: "Open loop, gaps of a gamma distribution.", Lacking: Both, Attrs: []Attr{
			{Name: "rate", Type: positive(Rate), Required: true},
			{Name: "cv", Type: positive(Number), Required: true, Doc: "coefficient of variation of the gaps; 1 is poisson"},
		}},
		{Type: "trace", Doc: "Open loop, the times and functions of a trace.", Attrs: []Attr{
			{Name: "trace", Type: ref("trace"), Required: true, Doc: "what to replay; a later phase goes on where the one before it stopped"},
			{Name: "speed", Type: positive(Number), Default: "1", Doc: "10 replays ten times faster"},
			{Name: "scale", Type: positive(Number), Default: "1", Lacking: Both, Doc: "multiplies the rate: above 1 repeats calls, below 1 leaves some out"},
			{Name: "jitter", Type: plain(Duration), Default: `"0s"`, Lacking: Both, Doc: "moves each call by up to this"},
		}},
		{Type: "replay", Doc: "Open loop, exact times.", Lacking: Both, Attrs: []Attr{
			{Name: "file", Type: plain(String), Required: true, Doc: "CSV of seconds and functions, from the file's folder"},
		}},
		{Type: "closed", Doc: "Closed loop: each client calls again after its reply.", Attrs: []Attr{
			{Name: "clients", Type: whole(1, 1_000_000), Required: true, Doc: "how many call at the same time"},
			{Name: "think", Type: plain(Dist), Default: `"0s"`, Doc: "pause of a client between reply and next call"},
			{Name: "ramp", Type: plain(Duration), Default: `"0s"`, Lacking: Both, Doc: "time over which the clients begin"},
			{Name: "error_policy", Type: enum("back_off", "stop", "hammer").lacking(Both, "stop", "hammer"), Default: `"back_off"`, Doc: "what a client does after an error"},
			{Name: "one_per", Type: enum("instance"), Lacking: Both, Doc: "each client has an instance of the function of its own"},
		}},
		{Type: "max", Doc: "Searches the highest rate that the platform sustains.", Lacking: Both, Attrs: []Attr{
			{Name: "until", Type: enum("knee"), Default: `"knee"`, Doc: "where throughput stops following the offered rate"},
		}},
	},
}

// workload are the blocks about calls and points.
var workload = []*Block{
	{
		Type: "load", Label: "name", ForEach: true, Doc: "Calls to make.",
		Attrs: []Attr{
			{Name: "target", Type: ref("balancer", "worker"), Required: true, Doc: "where the calls go"},
			{Name: "call", Type: ref("function"), Doc: "the only function, or"},
			{Name: "mix", Type: plain(Any), Doc: "functions by name with their weights: `{ hello = 3, busy = 1 }`"},
			{Name: "from", Type: ref("host").many(), Doc: "hosts that generate the load, each its share; default: those with the role `load`, else that of the balancer"},
			{Name: "duration", Type: positive(Duration), Required: true, Unless: "phase"},
			{Name: "warmup", Type: plain(Duration), Default: `"0s"`, Doc: "calls before, recorded apart: never in statistics"},
			{Name: "cooldown", Type: plain(Duration), Default: `"0s"`, Doc: "calls after, recorded apart: never in statistics"},
			{Name: "timeout", Type: positive(Duration), Doc: "deadline of a call; default: the function's and 30 s for its start"},
			{Name: "max_in_flight", Type: whole(1, 10_000_000), Default: "10000", Doc: "calls over it are dropped and recorded so: a safety cap, never a throttle"},
			{Name: "on_saturation", Type: enum("invalid", "abort", "record"), Default: `"invalid"`, Doc: "when the cap or the lag limit is hit"},
			{Name: "lag_limit", Type: positive(Duration), Default: `"1ms"`, Doc: "at p99: a generator later than that did not make the load asked for"},
			{Name: "measure_from", Type: enum("intended", "actual"), Default: `"intended"`, Doc: "what latency counts from; both times are recorded"},
			{Name: "retries", Type: whole(0, 100), Default: "0", Lacking: Both, Doc: "of a failed call"},
			{Name: "connections", Type: whole(1, 100_000), Default: "1", Lacking: Live, Doc: "to the target"},
			{Name: "protocol", Type: enum("grpc", "http").lacking(Live, "http"), Default: `"grpc"`, Doc: "spoken to the target"},
			{Name: "payload", Type: late(Any, SeesCall), Lacking: Both, Doc: "object sent with each call, of `call.index` and `call.seed`; default: args of the function"},
		},
		Blocks: []*Block{
			arrival,
			{
				Type: "phase", Label: "name", Doc: "A stretch of load; phases follow one another.",
				Attrs: []Attr{
					{Name: "duration", Type: positive(Duration), Required: true},
					{Name: "record", Type: plain(Bool), Default: "true", Doc: "false leaves it out of statistics"},
					{Name: "mix", Type: plain(Any), Doc: "instead of the load's"},
					{Name: "until", Type: late(Bool, SeesResults), Lacking: Both, Doc: "bool of the load's results so far: ends the phase early"},
				},
				Blocks: []*Block{arrival},
			},
		},
	},
	{
		Type: "sweep", Label: "name", Doc: "Combinations to try: `sweep.name.point.axis` is the value at a point.",
		Attrs: []Attr{
			{
				Name: "mode", Type: enum("grid", "zip", "list", "random", "latin", "pairs"), Default: `"grid"`,
				Doc: "grid: every combination; zip: the first values, the second values...; list: `points` as they are; random: `sample` of the grid; latin: `sample` points that spread each axis evenly; pairs: a subset of the grid with every pair of values of two axes",
			},
			{Name: "points", Type: plain(Any), Doc: "of mode list: objects with a value for each axis"},
			{Name: "sample", Type: whole(1, maxPoints), Doc: "of mode random or latin: how many"},
			{Name: "seed", Type: Type{Kind: Int}, Default: "0", Doc: "of mode random, latin or pairs"},
			{Name: "order", Type: enum("interleaved", "nested", "random"), Doc: "default of the experiment's"},
			{Name: "repeat", Type: whole(1, 1_000_000), Doc: "default of the experiment's"},
			{Name: "on_failure", Type: enum("continue", "stop"), Default: `"continue"`, Doc: "when a repeat fails"},
			{Name: "max_failures", Type: whole(1, 1_000_000), Lacking: Both, Doc: "repeats that may fail before the run stops"},
			{Name: "parallel", Type: whole(1, 1000), Default: "1", Lacking: Both, Doc: "points at a time, each on a testbed of its own"},
		},
		Blocks: []*Block{
			{
				Type: "axis", Label: "name", Doc: "One thing to vary; the first varies slowest.",
				Attrs: []Attr{
					{Name: "values", Type: plain(Any), Required: true, Doc: "list"},
					{Name: "label", Type: plain(String), Doc: "for figures; default: its name"},
					{Name: "unit", Type: plain(String), Doc: "for figures"},
				},
			},
			{
				Type: "exclude", Doc: "Combinations to leave out.",
				Attrs: []Attr{
					{Name: "when", Type: plain(Expr), Required: true, Doc: "bool, of `point.axis`"},
					{Name: "reason", Type: plain(String), Doc: "recorded beside them"},
				},
			},
			{
				Type: "include", Doc: "A combination to add.",
				Attrs: []Attr{{Name: "point", Type: plain(Any), Required: true, Doc: "object with a value for each axis"}},
			},
			{
				Type: "adaptive", Once: true, Lacking: Both, Doc: "Repeats each point until its result is narrow enough.",
				Attrs: []Attr{
					{Name: "metric", Type: plain(String), Required: true, Doc: "such as `latency.p99`"},
					{Name: "half_width", Type: positive(Number), Required: true, Doc: "of the 95 % confidence interval, as a share of the middle: 0.05"},
					{Name: "min", Type: whole(2, 1_000_000), Default: "6", Doc: "repeats at least"},
					{Name: "max", Type: whole(2, 1_000_000), Default: "100", Doc: "repeats at most"},
				},
			},
		},
	},
	{
		Type: "trace", Label: "name", ForEach: true, Doc: "A recorded workload. Exports `functions`, `calls`, `duration` and `hash`.",
		Attrs: []Attr{
			{
				Name: "format", Type: enum("iluvatar", "azure2019", "azure2021", "huawei2023", "ibm2026", "invitro", "csv").
					lacking(Both, "azure2019", "azure2021", "huawei2023", "ibm2026", "invitro", "csv"),
				Required: true, Doc: "iluvatar: a CSV pair of invocations and functions; azure2019 and others: the folder as published",
			},
			{Name: "path", Type: plain(String), Required: true, Doc: "the invocations, or the folder, from the file's folder"},
			{Name: "metadata", Type: plain(String), Doc: "of format iluvatar: the functions, from the file's folder"},
			{Name: "sha256", Type: plain(String), Doc: "of the invocations file: the trace is refused when it differs"},
			{Name: "map_to", Type: plain(Any), Doc: "what serves the calls: one function, or `{ method = \"nearest_duration\", functions = [...] }`; builtin busy stands for every trace function, each with its own duration; required to run"},
			{Name: "scale_duration", Type: positive(Number), Default: "1", Doc: "multiplies the durations of busy"},
			{Name: "max_duration", Type: positive(Duration), Doc: "caps the durations of busy"},
			{Name: "day", Type: whole(1, 366), Lacking: Both, Doc: "of a trace of several days"},
			{Name: "window", Type: plain(Strings), Lacking: Both, Doc: "from and to, as times of the day: `[\"10:00\", \"11:00\"]`"},
			{Name: "within_minute", Type: enum("poisson", "uniform", "equidistant", "as_given"), Lacking: Both, Doc: "where calls of a minute go; required for traces of counts by minute"},
			{Name: "align", Type: plain(Bool), Default: "false", Lacking: Both, Doc: "every function's minutes begin at once, as In-Vitro does: bursts"},
		},
		Blocks: []*Block{{
			Type: "sample", Once: true, Lacking: Both, Doc: "Some of the functions.",
			Attrs: []Attr{
				{Name: "functions", Type: whole(1, 1_000_000), Required: true, Doc: "how many"},
				{Name: "method", Type: enum("random", "stratified", "top"), Default: `"random"`},
				{Name: "by", Type: enums("invocations", "duration", "memory"), Default: `["invocations"]`, Doc: "what strata or the top are of"},
				{Name: "seed", Type: Type{Kind: Int}, Default: "0"},
			},
		}},
	},
	{
		Type: "simulate", Label: "name", Doc: "How an experiment runs in virtual time.",
		Attrs: []Attr{
			{Name: "engine", Type: enum("ainur-sim"), Default: `"ainur-sim"`},
			{Name: "calibrate", Type: plain(String), Doc: "file of `ainur calibrate`, whose durations stand in the place of all profiles"},
			{Name: "network", Type: fields(
				Attr{Name: "rtt", Type: plain(Duration), Default: `"0s"`},
				Attr{Name: "bandwidth", Type: positive(Bits)},
			), Doc: "between any two of load generator, balancer and worker: `{ rtt = \"120us\", bandwidth = \"25Gbit/s\" }`"},
			{Name: "jobs", Type: whole(1, 4096), Doc: "repeats at a time; default: the cores of this machine"},
			{Name: "records", Type: enum("all", "aggregate"), Default: `"all"`, Doc: "aggregate writes no calls and no decision log: only metrics, latency histograms, and the hash of the log"},
		},
		Blocks: []*Block{
			{
				Type: "host_model", Doc: "The facts of simulated hosts that cannot be asked.",
				Attrs: []Attr{
					{Name: "hosts", Type: ref("host").many(), Doc: "which; default: all that no other host_model names"},
					{Name: "cores", Type: whole(1, 10_000), Default: "16", Doc: "physical and logical"},
					{Name: "memory", Type: positive(Bytes), Default: `"64GiB"`},
					{Name: "speed", Type: positive(Number), Default: "1", Doc: "0.5 takes twice as long for everything that profiles or a calibration say"},
				},
			},
			{
				Type: "cold_start", Once: true, Doc: "How long sandboxes take to start, whatever profiles or a calibration say.",
				Attrs: []Attr{{Name: "model", Type: plain(Dist), Required: true}},
			},
		},
	},
}

// maxPoints bounds a sweep.
const maxPoints = 10_000
