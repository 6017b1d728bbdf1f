package e2e

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

const mib = 1 << 20

// content is a file that is served or sent, and what must arrive.
type content struct {
	name string
	path string
	size int64
	sum  [sha256.Size]byte
}

// file returns a file of that size in the directory that is served, made on first use.
// What is in it repeats nowhere, so that octets out of their place change the sum.
func file(t testing.TB, size int64) content {
	t.Helper()
	c := content{name: fmt.Sprintf("%d", size), size: size}
	c.path = filepath.Join(built.files, c.name)
	sum := sha256.New()
	var to io.Writer = sum
	if _, err := os.Stat(c.path); err != nil {
		f, err := os.Create(c.path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		to = io.MultiWriter(sum, f)
	}
	w := bufio.NewWriterSize(to, mib)
	if _, err := io.CopyN(w, rand.NewChaCha8([32]byte{'m'}), size); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	c.sum = [sha256.Size]byte(sum.Sum(nil))
	return c
}

// digest counts and sums what is written to it.
type digest struct {
	hash.Hash
	size int64
}

func newDigest() *digest { return &digest{Hash: sha256.New()} }

// Write adds to the sum.
func (d *digest) Write(b []byte) (int, error) {
	d.size += int64(len(b))
	return d.Hash.Write(b)
}

// differs says what is wrong with what has been written, nil if it is the content of c.
func (d *digest) differs(c content) error {
	if d.size != c.size {
		return fmt.Errorf("%d octets, want %d", d.size, c.size)
	}
	if got := [sha256.Size]byte(d.Sum(nil)); got != c.sum {
		return fmt.Errorf("SHA-256 %x, want %x", got, c.sum)
	}
	return nil
}

// curls runs curl n times at once in a namespace and returns how long that took. prepare
// adds to a run's arguments and output; check judges its end. All are started from one thread
// in the namespace: entering it takes longer than a download.
func curls(t testing.TB, h *lab.Host, n int, prepare func(i int, cmd *exec.Cmd), check func(i int) error) (time.Duration, error) {
	t.Helper()
	curl := testutil.Command(t, "curl", "curl")
	ctx, cancel := deadline(t, most(2*time.Minute))
	defer cancel()
	cmds, diag, errs := make([]*exec.Cmd, n), make([]transcript, n), make([]error, n)
	for i := range n {
		cmds[i] = exec.CommandContext(ctx, curl, "-sS", "--fail", "--noproxy", "*")
		cmds[i].Stderr = &diag[i]
		prepare(i, cmds[i])
	}
	began := time.Now()
	err := h.Do(func() error {
		for i, cmd := range cmds {
			errs[i] = cmd.Start()
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	for i, cmd := range cmds {
		if errs[i] == nil {
			errs[i] = cmd.Wait()
		}
	}
	took := time.Since(began)
	for i, cmd := range cmds {
		err := errs[i]
		if err == nil {
			err = check(i)
		}
		if err != nil {
			errs[i] = fmt.Errorf("curl %s: %w: %s", strings.Join(cmd.Args[5:], " "), err, diag[i].String())
		}
	}
	return took, errors.Join(errs...)
}

// download fetches URLs at once with curl in a namespace and returns how long that took.
// What comes is summed, and must be c.
func download(t testing.TB, h *lab.Host, c content, urls ...string) (time.Duration, error) {
	t.Helper()
	got := make([]*digest, len(urls))
	return curls(t, h, len(urls), func(i int, cmd *exec.Cmd) {
		got[i] = newDigest()
		cmd.Args = append(cmd.Args, urls[i])
		cmd.Stdout = got[i]
	}, func(i int) error { return got[i].differs(c) })
}

// upload sends a file at once to URLs with curl in a namespace and returns how long that
// took. The server answers with the sum of what it got.
func upload(t testing.TB, h *lab.Host, c content, urls ...string) (time.Duration, error) {
	t.Helper()
	answers := make([]transcript, len(urls))
	return curls(t, h, len(urls), func(i int, cmd *exec.Cmd) {
		cmd.Args = append(cmd.Args, "-T", c.path, urls[i])
		cmd.Stdout = &answers[i]
	}, func(i int) error {
		if got, want := answers[i].String(), answer(c.size, c.sum[:]); got != want {
			return fmt.Errorf("the server got %q, want %q", got, want)
		}
		return nil
	})
}

// answer is what the sink says of what it got.
func answer(size int64, sum []byte) string {
	return fmt.Sprintf("%d %s", size, hex.EncodeToString(sum))
}

// both returns n URLs that end in path, on both families by turns.
func both(n int, path string) []string {
	var urls []string
	for i := range n {
		urls = append(urls, "http://"+hosts[i%len(hosts)].host+path)
	}
	return urls
}

// rate returns Gbit/s.
func rate(octets int64, took time.Duration) float64 {
	return float64(octets) * 8 / took.Seconds() / 1e9
}
