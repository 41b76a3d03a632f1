package schema

// ssh is in cluster and in host.
var ssh = &Block{
	Type: "ssh", Once: true, Doc: "How hosts are reached.",
	Attrs: []Attr{
		{Name: "user", Type: plain(String), Doc: "default: of ~/.ssh/config, else the current one"},
		{Name: "port", Type: whole(1, 65535), Default: "22"},
		{Name: "config", Type: plain(String), Default: `"~/.ssh/config"`, Doc: "OpenSSH configuration to honour, or `none`"},
		{Name: "identity", Type: plain(Strings), Doc: "private key files"},
		{Name: "identities_only", Type: plain(Bool), Doc: "offer no other key; default: true with identity"},
		{Name: "agent", Type: plain(String), Default: `"auto"`, Doc: "`auto`, `none` or the path of a socket"},
		{Name: "proxy_jump", Type: plain(Strings), Default: "[]", Doc: "hosts to go through, in order: `user@host:port`"},
		{Name: "known_hosts", Type: plain(String), Default: `"~/.ssh/known_hosts"`},
		{Name: "host_key", Type: enum("strict", "accept_new", "pinned"), Default: `"strict"`, Doc: "what to do with a host key that is not known"},
		{Name: "host_keys", Type: plain(Strings), Default: "[]", Doc: "keys of host_key pinned, as in authorized_keys"},
		{Name: "connect", Type: positive(Duration), Default: `"10s"`, Doc: "time to connect"},
		{Name: "handshake", Type: positive(Duration), Default: `"15s"`, Doc: "time for the handshake"},
		{Name: "keepalive", Type: positive(Duration), Default: `"15s"`, Doc: "between two probes of a silent connection"},
		{Name: "keepalive_max", Type: whole(1, 1000), Default: "3", Doc: "probes without an answer before it is given up"},
		{Name: "command_timeout", Type: positive(Duration), Default: `"10m"`},
		{Name: "max_sessions", Type: whole(1, 1000), Default: "8", Doc: "at a time over one connection"},
		{Name: "retries", Type: whole(0, 100), Default: "3", Doc: "of connecting"},
		{Name: "compress", Type: plain(Bool), Default: "false"},
	},
}

// testbed are the blocks about hosts.
var testbed = []*Block{
	{
		Type: "cluster", Label: "name", ForEach: true, Doc: "A set of hosts. Exports `hosts`, `host[name]`, `with_role[role]` and, from plan on, `clock_skew_max` in seconds.",
		Attrs: []Attr{
			{Name: "hosts", Type: plain(Strings), Doc: "shorthand for hosts that differ by address only: `hostlist(\"node[01-16]\")`"},
			{Name: "roles", Type: plain(Strings), Default: "[]", Doc: "of those in hosts"},
		},
		Blocks: []*Block{
			ssh,
			{
				Type: "become", Once: true, Doc: "How to get root on the hosts.",
				Attrs: []Attr{
					{Name: "method", Type: enum("sudo", "doas", "none"), Required: true},
					{Name: "user", Type: plain(String), Default: `"root"`},
					{Name: "password", Type: Type{Kind: Secret, Of: []string{"secret"}}, Doc: "what the method asks for: `secret.name`"},
				},
			},
			{
				Type: "host", Label: "name", Required: true, Unless: "hosts", Doc: "One machine. Exports `facts` from plan on.",
				Attrs: []Attr{
					{Name: "address", Type: plain(String), Required: true, Doc: "name or IP address"},
					{Name: "connection", Type: enum("ssh", "local", "netns").lacking(Live, "netns"), Default: `"ssh"`, Doc: "how it is reached; local is this machine, which takes an internal_address where there are others"},
					{Name: "port", Type: whole(1, 65535), Doc: "default: that of ssh"},
					{Name: "user", Type: plain(String), Doc: "default: that of ssh"},
					{Name: "roles", Type: plain(Strings), Default: "[]", Doc: "free words, for with_role"},
					{Name: "nic", Type: plain(String), Lacking: Live, Doc: "network interface of the experiment's traffic"},
					{Name: "internal_address", Type: plain(String), Doc: "where other hosts reach it; default: address"},
					{Name: "labels", Type: plain(Map), Default: "{}", Doc: "free names and values"},
				},
				Blocks: []*Block{ssh},
			},
			{
				Type: "require", Label: "name", Doc: "What must hold of the hosts, or nothing runs.",
				Attrs: []Attr{
					{Name: "that", Type: late(Bool, SeesSelf), Required: true, Doc: "bool, of `self`: the cluster"},
					{Name: "error", Type: late(String, SeesSelf), Doc: "what to say when it does not hold"},
					{Name: "fix", Type: plain(String), Doc: "the command that mends it"},
					{Name: "when", Type: late(Bool, SeesSelf), Doc: "bool: false leaves it out"},
				},
			},
			{
				Type: "tune", Once: true, Doc: "Settings of the hosts for the time of a run; what is not given stays as it is.",
				Attrs: []Attr{
					{Name: "governor", Type: plain(String), Doc: "of cpufreq, such as `performance`"},
					{Name: "turbo", Type: plain(Bool)},
					{Name: "smt", Type: enum("on", "off", "leave"), Default: `"leave"`},
					{Name: "thp", Type: enum("always", "madvise", "never"), Doc: "transparent huge pages"},
					{Name: "numa_balancing", Type: plain(Bool)},
					{Name: "swap", Type: plain(Bool)},
					{Name: "irqbalance", Type: plain(Bool)},
					{Name: "aslr", Type: plain(Bool)},
					{Name: "isolcpus", Type: plain(String), Doc: "checked only: the kernel's command line must have it"},
					{Name: "restore", Type: plain(Bool), Default: "true", Doc: "as it was, after the run"},
				},
			},
			{
				Type: "install", Once: true, Doc: "Where ainur is put on the hosts.",
				Attrs: []Attr{
					{Name: "packages", Type: plain(Bool), Default: "false", Doc: "install containerd and an OCI runtime"},
					{Name: "prefix", Type: plain(String), Default: `"/opt/ainur"`},
					{Name: "state_dir", Type: plain(String), Default: `"/var/lib/ainur"`},
					{Name: "run_as", Type: plain(String), Lacking: Live, Doc: "user of the agents; default: the one that connects"},
					{Name: "via", Type: enum("systemd", "process", "auto"), Default: `"auto"`},
				},
			},
		},
	},
	{
		Type: "check", Label: "name", Doc: "Something about the hosts to be told, which stops nothing.",
		Attrs: []Attr{
			{Name: "that", Type: late(Bool, SeesFacts), Required: true, Doc: "bool, of facts"},
			{Name: "error", Type: late(String, SeesFacts), Doc: "what to say when it does not hold"},
		},
	},
}

// platform are the blocks about what is under test.
var platform = []*Block{
	{
		Type: "worker", Label: "name", ForEach: true, Doc: "An agent on a host, which runs functions in sandboxes.",
		Attrs: []Attr{
			{Name: "on", Type: ref("host"), Required: true, Doc: "its host, or a list of exactly one"},
			{
				Name: "isolation", Type: enum("process", "wasm", "containerd", "docker"),
				Default: `"process"`, Doc: "what a sandbox is made of",
			},
			{Name: "cores", Type: positive(Number), Doc: "capacity; default: the logical cores of the host"},
			{Name: "memory", Type: Type{Kind: Bytes, Min: 1 << 20}, Doc: "capacity for sandboxes; default: 80 % of the host's"},
			{Name: "free_buffer", Type: plain(Bytes), Default: `"0B"`, Doc: "of the memory, what idle sandboxes leave free, so that a cold start need not wait for a removal"},
			{
				Name: "queue", Default: `"fcfs"`, Doc: "which waiting invocation starts first",
				Type: Type{
					Kind: Policy, Values: []string{"fcfs", "sjf", "eedf", "rare", "cold_priority", "avail_scale", "none", "drr", "mqfq", "edf"},
					Aliases: map[string]string{
						"minheap": "sjf", "minheap_ed": "eedf", "minheap_iat": "rare", "cold_pri": "cold_priority", "scaling": "avail_scale", "queueless": "none", "processor_sharing": "none",
					},
				},
			},
			{
				Name: "keepalive", Default: `"ttl"`, Doc: "which idle sandboxes stay, and how long; a duration such as `10m` is `ttl` with that `idle`",
				Type: Type{Kind: Policy, Values: []string{"ttl", "lru", "lfu", "gdsf", "landlord", "size", "histogram"}, Duration: "ttl.idle", Aliases: map[string]string{"greedy_dual": "gdsf", "hybrid_histogram": "histogram"}},
			},
			{Name: "concurrency", Default: `"fixed"`, Type: Type{Kind: Policy, Values: []string{"fixed", "aimd"}}, Doc: "how many invocations run at a time, and which are refused; default: as many as the cores hold"},
			{
				Name: "dispatch", Default: `"mru"`, Doc: "which idle sandbox an invocation gets",
				Type: Type{Kind: Policy, Values: []string{"mru", "lru"}, Aliases: map[string]string{"warm_first": "mru"}},
			},
			{Name: "prewarm", Default: `"none"`, Type: Type{Kind: Policy, Values: []string{"none", "little", "histogram"}}, Doc: "which sandboxes are made ahead"},
			{Name: "estimate", Default: `"ewma"`, Type: Type{Kind: Policy, Values: []string{"ewma", "quantile", "regression"}}, Doc: "how executions and start-ups are predicted, for policies that ask"},
			{
				Name: "gpu_queue", Default: `"mqfq"`, Doc: "of a worker with `gpu`: what waits for a GPU that starts first",
				Type: Type{Kind: Policy, Values: []string{"fcfs", "sjf", "eedf", "oldest_batch", "sized_batch", "paella", "mqfq"}},
			},
			{
				Name: "placement", Default: `"est_completion"`, Doc: "of a worker with `gpu`: where an invocation of a function with `compute = [\"cpu\", \"gpu\"]` runs",
				Type: Type{
					Kind: Policy, Values: placements,
					Aliases: map[string]string{
						"All": "all", "Random": "random", "AlwaysCPU": "always_cpu", "AlwaysGPU": "always_gpu", "ShortestExecTime": "shortest_exec",
						"EstCompTime": "est_completion", "Speedup": "speedup", "EstSpeedup": "est_speedup", "RunningAvgEstSpeedup": "running_avg_speedup",
						"QueueAdjustAvgEstSpeedup": "queue_adjusted", "UCB1": "ucb1", "MWUA": "mwua", "HitTput": "hit_tput", "Popular": "popular",
						"LeastPopular": "least_popular", "PopularQueueLenDispatch": "popular_queue", "PopularEstTimeDispatch": "popular_est", "TopAvg": "top_avg",
						"GreedyWeights": "greedy_weights", "Landlord": "landlord", "LandlordFixed": "landlord_fixed", "LRU": "lru", "LFU": "lfu", "MICE": "mice",
					},
				},
			},
			{Name: "log_level", Type: enum("debug", "info", "warn", "error"), Default: `"info"`},
			{Name: "env", Type: plain(Map), Default: "{}", Doc: "environment of the agent"},
			{Name: "version", Type: plain(String), Lacking: Live, Doc: "of the agent; default: this ainur"},
			{Name: "binary", Type: plain(String), Lacking: Live, Doc: "path of the agent; default: this ainur"},
			{Name: "compat", Type: enums("iluvatar"), Default: "[]", Lacking: Live, Doc: "interfaces of other platforms to speak"},
		},
		Blocks: []*Block{
			policy("queue"), policy("keepalive"), policy("concurrency"), policy("dispatch"), policy("prewarm"), policy("estimate"), policy("gpu_queue"), policy("placement"),
			{
				Type: "container", Once: true, Doc: "How sandboxes are made.",
				Attrs: []Attr{
					{Name: "socket", Type: plain(String), Doc: "of the containerd or docker daemon; default: where it listens"},
					{Name: "snapshotter", Type: plain(String), Default: `"overlayfs"`, Doc: "of containerd"},
					{Name: "oci_runtime", Type: enum("auto", "runc", "crun"), Default: `"auto"`, Doc: "of containerd; auto is crun where it is installed"},
					{Name: "network", Type: enum("host", "none", "bridge"), Doc: "of a sandbox: that of the host, or one of its own without or with a way to the host; default: host for isolation process, else none"},
					{Name: "zygote", Type: plain(Bool), Default: "false", Doc: "of isolation process as root: fork python3 sandboxes from one that has imported the code"},
					{Name: "concurrent_creation", Type: whole(0, 1000), Default: "0", Doc: "containers made at a time; 0 is as many as pay"},
				},
				Blocks: []*Block{{
					Type: "pool", Once: true, Doc: "What is made ahead for containers to come.",
					Attrs: []Attr{
						{Name: "namespaces", Type: whole(0, 10_000), Default: "0", Doc: "network namespaces, with network bridge"},
						{Name: "stem_cells", Type: whole(0, 10_000), Default: "0", Doc: "of isolation containerd, and of process and docker as root: sandboxes of no function yet, for each runtime and image; with zygote, forks of each that wait"},
					},
				}},
			},
			{
				Type: "gpu", Once: true, Doc: "Graphics processors of the worker. A sandbox has a slot of one, and an invocation a token of the one that its sandbox is on; it waits for no cores. Code finds the name of its own, `gpu0` to, in AINUR_DEVICE, and its number in CUDA_VISIBLE_DEVICES; on the CPU that is `cpu` and empty.",
				Attrs: []Attr{
					{Name: "count", Type: whole(1, 64), Required: true},
					{Name: "memory", Type: positive(Bytes), Doc: "of each, of which a sandbox holds what `gpu_memory` of its function says; default: as much as is asked for"},
					{Name: "mps", Type: plain(Bool), Default: "false", Lacking: Live},
					{Name: "mig", Type: plain(Bool), Default: "false", Lacking: Live},
					{Name: "slots", Type: whole(1, 1024), Default: "1", Doc: "sandboxes that each holds"},
					{Name: "tokens", Type: whole(1, 1024), Doc: "invocations that run on each at a time; default: slots"},
					{Name: "simulated", Type: plain(Bool), Default: "false", Doc: "devices that are names alone: live, nothing is looked for on the host"},
				},
			},
			{
				Type: "health", Once: true, Lacking: Live, Doc: "When it is up.",
				Attrs: []Attr{{Name: "timeout", Type: positive(Duration), Default: `"30s"`}},
			},
		},
	},
	{
		Type: "balancer", Label: "name", ForEach: true, Doc: "The entry point of a cluster: it picks a worker for each invocation.",
		Attrs: []Attr{
			{Name: "on", Type: ref("host"), Required: true, Doc: "its host, or a list of exactly one"},
			{Name: "workers", Type: ref("worker").many(), Required: true, Doc: "where it may send"},
			{
				Name: "policy", Default: `"round_robin"`, Doc: "which worker",
				Type: Type{Kind: Policy, Values: []string{
					"random", "round_robin", "weighted", "least_in_flight", "least_loaded", "power_of_two", "join_idle", "ch", "ch_bounded", "ch_rlu",
					"guardrail", "locality", "openwhisk", "hermod", "pull",
				}},
			},
			{Name: "options", Type: plain(Expr), Doc: "of the policy in its short form: an object"},
			{Name: "port", Type: whole(0, 65535), Default: "0", Doc: "of the HTTP front; 0 is any free one"},
			{Name: "retries", Type: whole(0, 100), Default: "0", Lacking: Both, Doc: "on another worker, of invocations that did not start"},
			{Name: "hedge", Type: positive(Duration), Lacking: Both, Doc: "after which an idempotent invocation is sent to a second worker too"},
			{Name: "tokens", Type: plain(Strings), Default: "[]", Lacking: Live, Doc: "that callers must show"},
			{Name: "compat", Type: enums("iluvatar"), Default: "[]", Lacking: Live, Doc: "interfaces of other platforms to speak"},
		},
		Blocks: []*Block{
			policy("policy"),
			{
				Type: "health", Once: true, Lacking: Live, Doc: "When a worker is up.",
				Attrs: []Attr{{Name: "timeout", Type: positive(Duration), Default: `"30s"`}},
			},
			{
				Type: "tls", Once: true, Lacking: Live, Doc: "Encryption of the HTTP front.",
				Attrs: []Attr{
					{Name: "certificate", Type: plain(String), Required: true, Doc: "PEM file"},
					{Name: "key", Type: plain(String), Required: true, Doc: "PEM file"},
				},
			},
		},
	},
	{
		Type: "function", Label: "name", ForEach: true, Doc: "Code with its limits: `image`, `builtin`, or `runtime` with `source`.",
		OneOf: []string{"image", "builtin", "runtime"},
		Attrs: []Attr{
			{Name: "image", Type: plain(String), Doc: "container image: `name@sha256:...`, `oci-dir:PATH` or `oci-tar:PATH`"},
			{Name: "builtin", Type: enum("hello", "busy", "sleep", "memory"), Doc: "a function inside ainur"},
			{Name: "runtime", Type: enum("python3", "go", "exec", "wasm"), Doc: "what runs the source"},
			{Name: "source", Type: plain(String), Doc: "path, from the file's folder: a folder with main.py, a folder that `go build` builds, an executable, or a WebAssembly module"},
			{Name: "requirements", Type: plain(String), Doc: "of python3 on a base: a file of packages for pip to install, from the file's folder"},
			{Name: "base", Type: plain(String), Doc: "image that the source is put on, as for image, or `deb:SUITE?include=PACKAGE,PACKAGE`, or `rootfs:PATH`; default: the files of the host"},
			{Name: "pin", Type: plain(Bool), Default: "true", Doc: "resolve the image to its digest, in the lock file"},
			{Name: "server", Type: enum("ainur", "http", "unix"), Default: `"ainur"`, Doc: "protocol that the image speaks; http and unix are Ilúvatar's"},
			{Name: "memory", Type: Type{Kind: Bytes, Min: 1 << 20}, Required: true, Doc: "limit of a sandbox"},
			{Name: "cpus", Type: positive(Number), Default: "1", Doc: "what an invocation takes of the worker's cores"},
			{Name: "timeout", Type: positive(Duration), Default: `"60s"`, Doc: "of one execution"},
			{Name: "isolation", Type: enum("process", "wasm", "containerd", "docker"), Lacking: Both, Doc: "default: the worker's"},
			{Name: "compute", Type: enums("cpu", "gpu"), Default: `["cpu"]`, Doc: "what it may run on; with both, the worker's `placement` says, and without `gpu` of the worker the CPU"},
			{Name: "gpu_memory", Type: plain(Bytes), Default: `"0B"`, Doc: "of a GPU, held by each sandbox on it"},
			{Name: "concurrency", Type: whole(1, 10_000), Default: "1", Lacking: Both, Doc: "invocations at a time in one sandbox"},
			{Name: "idempotent", Type: plain(Bool), Default: "false", Doc: "whether an invocation may run twice"},
			{Name: "prewarm", Type: whole(0, 10_000), Default: "0", Doc: "sandboxes made on each worker before the load starts"},
			{Name: "instances", Type: whole(1, 10_000), Default: "1", Lacking: Both, Doc: "copies under names of their own, which share no sandbox"},
			{Name: "env", Type: plain(Map), Default: "{}", Doc: "environment of the code"},
			{Name: "args", Type: plain(Any), Default: "{}", Doc: "object sent with each call"},
			{Name: "args_file", Type: plain(String), Lacking: Both, Doc: "JSON file of args, from the file's folder"},
		},
		Blocks: []*Block{{
			Type: "profile", Once: true, Doc: "How the function behaves in virtual time.",
			Attrs: []Attr{
				{Name: "warm", Type: plain(Dist), Required: true, Doc: "execution in a warm sandbox"},
				{Name: "cold", Type: plain(Dist), Required: true, Doc: "time to make a sandbox ready"},
				{Name: "memory", Type: plain(Bytes), Doc: "of a sandbox; default: the function's limit"},
			},
			Blocks: []*Block{{
				Type: "gpu", Once: true, Doc: "How it does on a GPU; default: as on the CPU.",
				Attrs: []Attr{
					{Name: "warm", Type: plain(Dist), Required: true, Doc: "execution in a warm sandbox"},
					{Name: "cold", Type: plain(Dist), Required: true, Doc: "time to make a sandbox ready"},
				},
			}},
		}},
	},
}

// placements are where invocations of functions that run on CPU and GPU may go.
var placements = []string{
	"all", "random", "always_cpu", "always_gpu", "shortest_exec", "est_completion", "speedup", "est_speedup", "running_avg_speedup", "queue_adjusted",
	"ucb1", "mwua", "hit_tput", "popular", "least_popular", "popular_queue", "popular_est", "top_avg", "greedy_weights", "landlord", "landlord_fixed", "lru", "lfu", "mice",
}
