package ssh_test

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/lab"
	"github.com/ainur-faas/ainur/orchestrator/remote"
)

func BenchmarkDial(b *testing.B) {
	for _, hosts := range []int{1, 32} {
		b.Run(fmt.Sprint(hosts), func(b *testing.B) {
			l := up(b, lab.Options{Hosts: hosts})
			for b.Loop() {
				d := dialer(b)
				var all sync.WaitGroup
				for _, h := range l.Hosts {
					all.Go(func() {
						c, err := d.Dial(b.Context(), spec.Host{Name: h.Name, Address: h.Address.String(), SSH: block(l)}, spec.Become{})
						if err == nil {
							err = errors.Join(c.Run(b.Context(), remote.Command{Args: []string{"true"}}), c.Close())
						}
						if err != nil {
							b.Error(err)
						}
					})
				}
				all.Wait()
			}
		})
	}
}

func BenchmarkRun(b *testing.B) {
	l := up(b, lab.Options{Hosts: 1})
	c := dial(b, dialer(b), spec.Host{Name: "n1", Address: l.Hosts[0].Address.String(), SSH: block(l)})
	for b.Loop() {
		if err := c.Run(b.Context(), remote.Command{Args: []string{"true"}}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPush(b *testing.B) {
	l := up(b, lab.Options{Hosts: 1})
	c := dial(b, dialer(b), spec.Host{Name: "n1", Address: l.Hosts[0].Address.String(), SSH: block(l)})
	content := bytes.Repeat([]byte("0123456789abcdef"), 45<<16)
	b.SetBytes(int64(len(content)))
	for i := 0; b.Loop(); i++ {
		if _, err := c.Push(b.Context(), remote.File{Path: fmt.Sprintf("/opt/%d", i%2), Mode: 0o755, Content: bytes.NewReader(append(content, byte(i)))}); err != nil {
			b.Fatal(err)
		}
	}
}
