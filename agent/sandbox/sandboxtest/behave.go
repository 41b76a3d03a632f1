package sandboxtest

import (
	"testing"

	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// Kit makes functions for isolations that run neither builtins nor Python: one that
// behaves as the name says in behaviours, or as the builtin of that name. Of what it
// does not have, ok is false, and the check is skipped.
type Kit func(t *testing.T, behaviour string) (c sandbox.Config, ok bool)

// RunKit is Run with the functions of a kit.
func RunKit(t *testing.T, kit Kit, open func(*testing.T) sandbox.Isolation) {
	run(t, &suite{kit: kit}, open)
}

// behaviours are functions, by what they do.
var behaviours = map[string]string{
	"adds one to n":           "def main(args):\n    return {'n': args['n'] + 1}\n",
	"returns n":               "def main(args):\n    return args['n']\n",
	"raises when it has args": "def main(args):\n    if args: raise ValueError('by design')\n    return 1\n",
	"ends with 9":             "import os, sys\ndef main(args):\n    print('last words', file=sys.stderr)\n    os._exit(9)\n",
	"prints 100 MB":           "import sys\ndef main(args):\n    for _ in range(1000): sys.stdout.write('x' * 99999 + '\\n')\n    return 1\n",
	"returns n letters":       "def main(args):\n    return 'x' * args['n']\n",
	"shows its environment":   "import os\ndef main(args):\n    return [os.environ.get('MINE'), os.environ.get('AINUR_SECRET_OF_THE_AGENT'), os.path.basename(os.getcwd()) != '']\n",
	"counts all the time":     "import threading, time\nn = 0\ndef count():\n    global n\n    while True: n += 1; time.sleep(0.001)\nthreading.Thread(target=count, daemon=True).start()\ndef main(args):\n    return n\n",
}

// behaves is a function that does what a name in behaviours says.
func (s *suite) behaves(name string) sandbox.Config {
	s.Helper()
	if s.kit != nil {
		return s.ofKit(name)
	}
	return s.python(behaviours[name])
}

// builtin is one of ainur's builtins, or what stands for it.
func (s *suite) builtin(name string) sandbox.Config {
	s.Helper()
	if s.kit != nil {
		return s.ofKit(name)
	}
	return sandbox.Config{Function: spec.Function{Name: "f", Builtin: name, Memory: 64 * spec.MiB, MilliCPU: 1000}}
}

func (s *suite) ofKit(name string) sandbox.Config {
	s.Helper()
	c, ok := s.kit(s.T, name)
	if !ok {
		s.Skipf("this isolation has no function that %s", name)
	}
	return c
}
