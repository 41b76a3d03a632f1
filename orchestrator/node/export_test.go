package node

import "time"

// SetPatience is for tests that do not wait for half a minute.
func (c *Client) SetPatience(d time.Duration) { c.patience = d }
