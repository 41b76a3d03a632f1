package shell

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/remote"
)

// Secrets are the passwords of hosts: each is asked for once, and one that a host has
// refused is not tried on others, which may count together.
type Secrets struct {
	ask  func(context.Context, *spec.Secret) (string, error)
	mu   sync.Mutex
	each map[string]*secret
}

// secret is one, of which one user at a time finds out whether it is good.
type secret struct {
	turn  chan struct{} // holds a value while somebody finds out
	value string
	good  bool
	err   error
}

// NewSecrets returns those that a function has. It is called once for each name.
func NewSecrets(ask func(context.Context, *spec.Secret) (string, error)) *Secrets {
	return &Secrets{ask: ask, each: map[string]*secret{}}
}

// prove is a password that try took.
func (s *Secrets) prove(ctx context.Context, which *spec.Secret, try func(string) error) (string, error) {
	s.mu.Lock()
	one := s.each[which.Name]
	if one == nil {
		one = &secret{turn: make(chan struct{}, 1)}
		s.each[which.Name] = one
	}
	s.mu.Unlock()
	select {
	case one.turn <- struct{}{}:
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	value, good, err := one.value, one.good, one.err
	if good {
		<-one.turn
		return value, try(value)
	}
	defer func() { <-one.turn }()
	if err != nil {
		return "", err
	}
	if value == "" {
		if value, err = s.ask(ctx, which); err == nil && value == "" {
			err = errors.New("it is empty")
		}
		if err != nil {
			return "", fmt.Errorf("secret %s: %w", which.Name, err)
		}
		one.value = value
	}
	err = try(value)
	one.good = err == nil
	if errors.Is(err, remote.ErrRefused) {
		one.err = fmt.Errorf("secret %s was not taken by another host, and is not tried again: %w", which.Name, err)
	}
	return value, err
}
