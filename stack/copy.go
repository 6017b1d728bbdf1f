package stack

import (
	"io"
	"sync"
)

// copyBuffer is the unit of ReadFrom and WriteTo: eight chunks of a queue.
const copyBuffer = 64 << 10

type copyBuf [copyBuffer]byte

// copyBufs are lent to ReadFrom and WriteTo, so that a proxy with many connections holds no
// buffer for those that are idle in between.
var copyBufs = sync.Pool{New: func() any { return new(copyBuf) }}

// ReadFrom writes all that r has. It implements io.ReaderFrom.
func (c *Conn) ReadFrom(r io.Reader) (int64, error) {
	buf := copyBufs.Get().(*copyBuf)
	defer copyBufs.Put(buf)
	return io.CopyBuffer(writerOnly{c}, readerOnly{r}, buf[:])
}

// WriteTo writes all that the peer sends to w. It implements io.WriterTo. No buffer is held
// while nothing comes.
func (c *Conn) WriteTo(w io.Writer) (int64, error) {
	total := int64(0)
	for {
		n, err := c.writeSome(w)
		total += int64(n)
		switch {
		case err == io.EOF:
			return total, nil
		case err != nil:
			return total, err
		}
	}
}

// writeSome waits for data and hands as much of it to w as a buffer holds.
func (c *Conn) writeSome(w io.Writer) (int, error) {
	if err := c.awaitReadable(); err != nil {
		return 0, err
	}
	buf := copyBufs.Get().(*copyBuf)
	defer copyBufs.Put(buf)
	n, err := c.Read(buf[:])
	if n == 0 {
		return 0, err
	}
	m, err := w.Write(buf[:n])
	if err == nil && m < n {
		err = io.ErrShortWrite
	}
	return m, err
}

// awaitReadable returns when a Read would not wait, unless another one comes before.
func (c *Conn) awaitReadable() error {
	c.rd.mu.Lock()
	defer c.rd.mu.Unlock()
	for !c.readable() {
		c.awaitData()
	}
	return nil
}

// writerOnly and readerOnly hide the methods that io.CopyBuffer would prefer to its buffer.
type (
	writerOnly struct{ io.Writer }
	readerOnly struct{ io.Reader }
)
