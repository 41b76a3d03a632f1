package network

// Changes cleans the namespace, and names what else is not as it was made.
func (n *Namespace) Changes() ([]string, error) { return n.pool.clean(n.node) }

// Ready is how many namespaces are ready.
func (p *Pool) Ready() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.ready)
}
