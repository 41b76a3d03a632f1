package deploy

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/ainur-faas/ainur/internal/digest"
)

// programs are the ainurs for hosts, by architecture, each hashed once.
type programs struct {
	mu    sync.Mutex
	byArc map[string]program
}

type program struct{ path, sha256 string }

// program is this ainur for an architecture: itself, or what lies beside it.
func (p *programs) program(arch string) (program, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known, ok := p.byArc[arch]; ok {
		return known, nil
	}
	own, err := os.Executable()
	if err != nil {
		return program{}, err
	}
	path := "/proc/self/exe"
	if arch != runtime.GOARCH {
		path = filepath.Join(filepath.Dir(own), "ainur-linux-"+arch)
	}
	f, err := os.Open(path)
	if os.IsNotExist(err) {
		return program{}, fmt.Errorf("the host is %s, and %s is not there: build it with GOOS=linux GOARCH=%s go build -o %s ./cmd/ainur", arch, path, arch, path)
	}
	if err != nil {
		return program{}, err
	}
	defer f.Close()
	sum, _, err := digest.Of(f)
	if err != nil {
		return program{}, err
	}
	if p.byArc == nil {
		p.byArc = map[string]program{}
	}
	p.byArc[arch] = program{path, sum}
	return p.byArc[arch], nil
}
