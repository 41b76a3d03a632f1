package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	"github.com/ainur-faas/ainur/agent/live"
	"github.com/ainur-faas/ainur/balancer/policy"
	"github.com/ainur-faas/ainur/balancer/proxy"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/internal/mtls"
	"github.com/ainur-faas/ainur/loadgen/client"
	"github.com/ainur-faas/ainur/orchestrator"
	"github.com/ainur-faas/ainur/orchestrator/collect"
	"github.com/ainur-faas/ainur/orchestrator/node"
)

// The daemons are the roles that ainur starts on hosts: the same binary, so
// that versions cannot differ.

func (c *cli) agentCommand() *cobra.Command {
	var listen, dir, runID, balancer, tls string
	var lifeline bool
	cmd := &cobra.Command{
		Use:   "agent CONFIG.json",
		Short: "Serve a worker: run functions in sandboxes on this host",
		Args:  args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if dir == "" || runID == "" {
				return exit(exitUsage, errors.New("--dir and --run are required"))
			}
			var w spec.Worker
			if err := readJSON(args[0], &w); err != nil {
				return exit(exitUsage, err)
			}
			ctx, stop := c.daemonContext(cmd.Context(), lifeline)
			defer stop()
			return c.agent(ctx, w, listen, dir, runID, balancer, tls)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&listen, "listen", "127.0.0.1:0", "address of the gRPC server")
	flags.StringVar(&dir, "dir", "", "folder for code, sockets and logs (required)")
	flags.StringVar(&runID, "run", "", "id of the run, which labels all that the agent makes (required)")
	flags.StringVar(&balancer, "balancer", "", "address of the balancer to join")
	flags.StringVar(&tls, "tls", "", "folder of ca.pem, cert.pem and key.pem, needed to serve other hosts, or of a token, for this one")
	flags.BoolVar(&lifeline, "lifeline", false, "stop when standard input closes")
	return cmd
}

func (c *cli) agent(ctx context.Context, w spec.Worker, listen, dir, runID, balancer, tls string) (err error) {
	log := logger(c.stderr, w.LogLevel)
	serve, connect, err := mtls.Load(tls)
	if err != nil {
		return fmt.Errorf("worker %s: %w", w.Name, err)
	}
	listener, err := listenTCP(listen, tls)
	if err != nil {
		return fmt.Errorf("worker %s: %w", w.Name, err)
	}
	store := images()
	isolation, err := openIsolation(ctx, w, dir, runID, store, log)
	if err != nil {
		return errors.Join(fmt.Errorf("worker %s: %w", w.Name, err), listener.Close())
	}
	defer func() { err = errors.Join(err, isolation.Close()) }()
	agent, err := live.New(live.Options{Worker: w, RunID: runID, Version: version, Isolation: isolation, Dir: dir, Store: store, Log: log})
	if err != nil {
		return errors.Join(fmt.Errorf("worker %s: %w", w.Name, err), listener.Close())
	}
	defer func() { err = errors.Join(err, agent.Close()) }()
	server := live.NewServer(agent, serve)
	leased := make(chan struct{})
	if balancer == "" {
		close(leased)
	} else {
		conn, err := grpc.NewClient(balancer, grpc.WithTransportCredentials(connect))
		if err != nil {
			return errors.Join(fmt.Errorf("balancer %s: %w", balancer, err), listener.Close())
		}
		defer conn.Close()
		go func() {
			defer close(leased)
			agent.Lease(ctx, conn, listener.Addr().String())
		}()
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		<-leased // nothing new comes from the balancer
		server.Stop()
	}()
	if err := c.ready(node.Ready{Address: listener.Addr().String()}); err != nil {
		return err
	}
	err = server.Serve(listener)
	<-stopped
	return err
}

func (c *cli) balancerCommand() *cobra.Command {
	var listen, http, tls string
	var lifeline bool
	cmd := &cobra.Command{
		Use:   "balancer CONFIG.json",
		Short: "Serve as the cluster's entry point: choose a worker for each invocation",
		Args:  args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			var b orchestrator.BalancerConfig
			if err := readJSON(args[0], &b); err != nil {
				return exit(exitUsage, err)
			}
			chosen, err := policy.Builtin().Build(b.Policy.Name, b.Policy.Decode)
			if err != nil {
				return exit(exitUsage, err)
			}
			ctx, stop := c.daemonContext(cmd.Context(), lifeline)
			defer stop()
			grpcListener, err := listenTCP(listen, tls)
			if err != nil {
				return fmt.Errorf("balancer %s: %w", b.Name, err)
			}
			httpListener, err := listenTCP(http, "")
			if err != nil {
				return errors.Join(fmt.Errorf("balancer %s: %w", b.Name, err), grpcListener.Close())
			}
			if err := c.ready(node.Ready{Address: grpcListener.Addr().String(), HTTP: httpListener.Addr().String()}); err != nil {
				return err
			}
			return proxy.New(proxy.Options{Policy: chosen, Seed: b.Seed, TLS: tls, Log: logger(c.stderr, "info")}).Serve(ctx, grpcListener, httpListener)
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "address of the gRPC server")
	cmd.Flags().StringVar(&http, "http", "127.0.0.1:0", "address of the HTTP front")
	cmd.Flags().StringVar(&tls, "tls", "", "folder of ca.pem, cert.pem and key.pem, needed to serve other hosts, or of a token, for this one")
	cmd.Flags().BoolVar(&lifeline, "lifeline", false, "stop when standard input closes")
	return cmd
}

func (c *cli) loadCommand() *cobra.Command {
	var dir, start string
	var lifeline bool
	cmd := &cobra.Command{
		Use:   "load JOB.json",
		Short: "Generate one load and record every call",
		Args:  args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			var job client.Job
			if err := readJSON(args[0], &job); err != nil {
				return exit(exitUsage, err)
			}
			job.Dir = cmp.Or(dir, job.Dir)
			job.Resolve(filepath.Dir(args[0]))
			ctx, stop := c.daemonContext(cmd.Context(), lifeline)
			defer stop()
			out := json.NewEncoder(c.stdout)
			load, err := client.Prepare(ctx, job)
			if err != nil {
				return err
			}
			if err := c.ready(node.Ready{}); err != nil {
				return errors.Join(err, load.Close())
			}
			zero, err := startOf(ctx, start)
			if err != nil {
				return errors.Join(err, load.Close())
			}
			_, err = load.Run(ctx, zero, func(p client.Progress) {
				_ = out.Encode(p) // whoever reads it may have gone; the calls are what counts
			})
			return err
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "folder for what is measured, instead of the job's")
	cmd.Flags().StringVar(&start, "start", "", "wait for this file, which says when to begin")
	cmd.Flags().BoolVar(&lifeline, "lifeline", false, "stop when standard input closes")
	return cmd
}

func (c *cli) collectorCommand() *cobra.Command {
	var dir string
	var lifeline bool
	cmd := &cobra.Command{
		Use:    "collector CONFIG.json",
		Short:  "Keep what a host tells beside the calls of a load",
		Hidden: true,
		Args:   args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			var config collect.Config
			if err := readJSON(args[0], &config); err != nil {
				return exit(exitUsage, err)
			}
			ctx, stop := c.daemonContext(cmd.Context(), lifeline)
			defer stop()
			return collect.Run(ctx, config, dir, func() error { return c.ready(node.Ready{}) })
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "collected", "folder for what is kept")
	cmd.Flags().BoolVar(&lifeline, "lifeline", false, "end when standard input closes")
	return cmd
}

// startOf waits for the file that says when to begin; without one, or when ctx ends, that is at once.
func startOf(ctx context.Context, path string) (time.Duration, error) {
	if path == "" {
		return 0, nil
	}
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for {
		var s orchestrator.StartFile
		if err := readJSON(path, &s); !errors.Is(err, fs.ErrNotExist) {
			return s.Monotonic, err
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return 0, nil
		}
	}
}

// listenTCP listens for this host alone, unless callers have to show a certificate.
func listenTCP(address, tls string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err == nil && !mtls.Encrypts(tls) && (ip == nil || !ip.IsLoopback()) {
		err = fmt.Errorf("%s is not a loopback address: give --tls", address)
	}
	if err != nil {
		return nil, err
	}
	return net.Listen("tcp", address)
}

// ready tells whoever started the daemon that it serves.
func (c *cli) ready(r node.Ready) error { return json.NewEncoder(c.stdout).Encode(r) }

// daemonContext ends with a signal or, with a lifeline, when whoever holds the
// other end of standard input ends, however it does.
func (c *cli) daemonContext(ctx context.Context, lifeline bool) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	if lifeline {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin) // ends when the other end does
			cancel()
		}()
	}
	return ctx, cancel
}

func logger(w io.Writer, level string) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(strings.ToUpper(level))); err != nil {
		l = slog.LevelInfo
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: l}))
}

func readJSON(path string, into any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
