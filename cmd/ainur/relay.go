package main

import (
	"errors"
	"io"
	"net"
	"os"

	"github.com/spf13/cobra"

	"github.com/ainur-faas/ainur/orchestrator/deploy"
)

// relayCommand is how a supervisor is reached whose socket is for another user.
func (c *cli) relayCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "relay SOCKET",
		Short:  "Carry standard input and output to and from a socket",
		Hidden: true,
		Args:   args(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: args[0], Net: "unix"})
			if err != nil {
				return err
			}
			if _, err := c.stdout.Write([]byte{deploy.Relay}); err != nil {
				return errors.Join(err, conn.Close())
			}
			go func() {
				_, _ = io.Copy(conn, os.Stdin) // whoever is there sees the end
				_ = conn.CloseWrite()
			}()
			_, err = io.Copy(c.stdout, conn)
			return errors.Join(err, conn.Close())
		},
	}
}
