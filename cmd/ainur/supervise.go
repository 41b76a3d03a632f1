package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/ainur-faas/ainur/agent/agentpb"
	"github.com/ainur-faas/ainur/agent/image/push"
	"github.com/ainur-faas/ainur/internal/digest"
	"github.com/ainur-faas/ainur/internal/mtls"
	"github.com/ainur-faas/ainur/orchestrator/node"
	"github.com/ainur-faas/ainur/orchestrator/node/nodepb"
)

func (c *cli) superviseCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "supervise CONFIG.json",
		Short:  "Serve as the supervisor of a host: start and watch the daemons of runs",
		Hidden: true,
		Args:   args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := os.ReadFile(args[0])
			if err != nil {
				return exit(exitUsage, err)
			}
			var config node.Config
			if err := json.Unmarshal(text, &config); err != nil {
				return exit(exitUsage, fmt.Errorf("%s: %w", args[0], err))
			}
			if config.Listen != "" && config.TLS == "" {
				return exit(exitUsage, fmt.Errorf("%s: listen takes tls: others may reach it", args[0]))
			}
			sum := sha256.Sum256(text)
			return c.supervise(cmd.Context(), config, hex.EncodeToString(sum[:]))
		},
	}
}

func (c *cli) supervise(ctx context.Context, config node.Config, sum string) (err error) {
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	own, err := digest.File("/proc/self/exe") // whatever is at its path by now
	if err != nil {
		return err
	}
	supervisor, err := node.Open(node.Options{Dir: config.Dir, Executable: executable, Reclaim: reclaim})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, supervisor.Close()) }()
	if config.Cache != "" {
		if err := os.Setenv("AINUR_CACHE", config.Cache); err != nil {
			return err
		}
	}
	server := &node.Server{Supervisor: supervisor, Description: node.Description{Deployment: config.Deployment, ExecutableSHA256: own, ConfigSHA256: sum}}
	tls, _, err := mtls.Load(config.TLS)
	if err != nil {
		return err
	}
	var listeners []net.Listener
	defer func() {
		for _, l := range listeners {
			_ = l.Close() // its server has closed it, or there is none
		}
	}()
	local, err := listenUnix(config.Socket)
	if err != nil {
		return err
	}
	listeners = append(listeners, local)
	if config.Listen != "" {
		others, err := net.Listen("tcp", config.Listen)
		if err != nil {
			return err
		}
		listeners = append(listeners, others)
		server.Description.Address = others.Addr().String()
	}
	ended := make(chan error, len(listeners))
	var servers []*grpc.Server
	for i, l := range listeners {
		creds := tls
		if i == 0 {
			creds = insecure.NewCredentials() // files say who may connect
		}
		s := grpc.NewServer(append(node.ServerOptions(), grpc.Creds(creds))...)
		nodepb.RegisterSupervisorServer(s, server)
		pb.RegisterImagesServer(s, &push.Server{Store: images()})
		servers = append(servers, s)
		go func() { ended <- s.Serve(l) }()
	}
	if err := c.ready(node.Ready{Address: server.Description.Address}); err != nil {
		return err
	}
	select {
	case err = <-ended:
	case <-ctx.Done():
	}
	for _, s := range servers {
		s.Stop()
	}
	return err
}

// listenUnix listens on a socket for this user alone. One that nobody listens on
// any more is in the way of nobody.
func listenUnix(path string) (net.Listener, error) {
	if conn, err := net.Dial("unix", path); err == nil {
		return nil, errors.Join(fmt.Errorf("a supervisor serves %s already", path), conn.Close())
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}
