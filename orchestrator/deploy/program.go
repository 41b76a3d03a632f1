package deploy

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/ainur-faas/ainur/internal/atomicfile"
	"github.com/ainur-faas/ainur/internal/digest"
)

// programs are the ainurs for hosts, by architecture, each hashed and packed once.
type programs struct {
	cache string // folder of the packed
	mu    sync.Mutex
	byArc map[string]program
}

type program struct {
	path, sha256 string
	packed       func() (string, error) // path of it as Zstandard
}

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
	p.byArc[arch] = program{path, sum, sync.OnceValues(func() (string, error) { return pack(path, p.cache, arch, sum) })}
	return p.byArc[arch], nil
}

// packedFor is how long what was packed of another program stays.
const packedFor = 24 * time.Hour

// pack makes of a program one that is packed, or finds it made, in a folder of such.
func pack(path, cache, arch, sum string) (packed string, err error) {
	packed = filepath.Join(cache, arch+"-"+sum+".zst")
	if _, err := os.Stat(packed); err == nil {
		return packed, nil
	}
	others, err := filepath.Glob(filepath.Join(cache, arch+"-*.zst"))
	if err != nil {
		return "", err
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	err = atomicfile.Write(packed, 0o644, func(w io.Writer) error {
		z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest))
		if err != nil {
			return err
		}
		_, err = io.Copy(z, f)
		return errors.Join(err, z.Close())
	})
	for _, other := range others {
		if info, e := os.Stat(other); e == nil && time.Since(info.ModTime()) > packedFor {
			err = errors.Join(err, os.Remove(other))
		}
	}
	return packed, err
}
