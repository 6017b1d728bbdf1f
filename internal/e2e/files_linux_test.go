package e2e

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/internal/lab"
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

// download fetches a URL with curl in a namespace and returns how long that took. What
// comes is summed, and must be c.
func download(t testing.TB, h *lab.Host, curl, url string, c content) (time.Duration, error) {
	t.Helper()
	ctx, cancel := deadline(t, most(2*time.Minute))
	defer cancel()
	d := newDigest()
	var diag transcript
	cmd := h.Command(ctx, curl, "-sS", "--fail", "--noproxy", "*", url)
	cmd.Stdout, cmd.Stderr = d, &diag
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("curl %s: %w after %d octets: %s", url, err, d.size, diag.String())
	}
	took := time.Since(began)
	if err := d.differs(c); err != nil {
		return 0, fmt.Errorf("curl %s: %w", url, err)
	}
	return took, nil
}

// rate returns Gbit/s.
func rate(octets int64, took time.Duration) float64 {
	return float64(octets) * 8 / took.Seconds() / 1e9
}
