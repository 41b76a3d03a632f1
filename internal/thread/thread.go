// Package thread runs code on an operating system thread that may change what
// threads otherwise share, such as its namespaces, since no other code runs on it later.
package thread

import (
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// Own runs f on a thread that ends with the calling goroutine, which should end soon
// after. The main thread would not: it is held until another has run f.
func Own(f func()) {
	runtime.LockOSThread()
	if unix.Gettid() != os.Getpid() {
		f()
		return
	}
	defer runtime.UnlockOSThread()
	var other sync.WaitGroup
	other.Go(func() { Own(f) })
	other.Wait()
}
