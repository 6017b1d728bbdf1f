package transcript

import (
	"fmt"
	"syscall"

	"github.com/millrace-tcp/millrace/internal/pktdrill"
	"github.com/millrace-tcp/millrace/stack/socket"
)

// The flags of recv and send that are obeyed.
const (
	msgPeek     = 0x2
	msgDontWait = 0x40
	msgWaitAll  = 0x100
	msgMore     = 0x8000
)

// transfer is a call that reads or writes.
func (p *player) transfer(f *file, c *pktdrill.Call) (operation, error) {
	size, flags, ok := sizeOf(c)
	if !ok {
		return operation{}, fmt.Errorf("%s(): %w", c.Name, errArguments)
	}
	if len(c.Args) > 1 && len(c.Args[1].Words) == 1 && c.Args[1].Words[0] == "NULL" && size > 0 {
		return always(failed(syscall.EFAULT)), nil
	}
	switch c.Name {
	case "read", "readv", "recv", "recvfrom", "recvmsg":
		return p.reading(f, size, flags), nil
	}
	return p.writing(f, size, flags), nil
}

// sizeOf is how many octets a call moves at the most, and its flags.
func sizeOf(c *pktdrill.Call) (size int, flags int64, ok bool) {
	flags, _ = argument(c, 3)
	var vector pktdrill.Expr
	switch c.Name {
	case "readv", "writev":
		if len(c.Args) < 2 {
			return 0, 0, false
		}
		vector, flags = c.Args[1], 0
	case "sendmsg", "recvmsg":
		if len(c.Args) < 2 {
			return 0, 0, false
		}
		if vector, ok = c.Args[1].Get("msg_iov"); !ok {
			return 0, 0, false
		}
		flags, _ = argument(c, 2)
	default:
		n, ok := argument(c, 2)
		return int(n), flags, ok && n >= 0 && n < 1<<30
	}
	for i := range vector.Items {
		if n := len(vector.Items[i].Items); n != 2 {
			return 0, 0, false
		}
		n, ok := value(vector.Items[i].Items[1])
		if !ok || n < 0 || n >= 1<<30 {
			return 0, 0, false
		}
		size += int(n)
	}
	return size, flags, true
}

// reading reads what there is, or all if it is told to wait for that.
func (p *player) reading(f *file, size int, flags int64) operation {
	total := 0
	return p.blocking(f, flags&msgDontWait != 0, f.Settings().RecvTimeout, func() (outcome, bool) {
		b := make([]byte, size-total)
		read := f.Read
		if flags&msgPeek != 0 {
			read = f.Peek
		}
		n, err := read(b)
		if i := mismatch(b[:n], f.read); i >= 0 {
			return outcome{err: fmt.Errorf("octet %d of the stream is not what was sent", f.read+i)}, true
		}
		if flags&msgPeek == 0 {
			f.read += n
		}
		total += n
		switch {
		case total > 0 && (err != socket.OK || n == 0 || total == size || flags&msgWaitAll == 0):
			over := err != syscall.EAGAIN || flags&msgWaitAll == 0
			return outcome{n: int64(total)}, over
		case err == socket.OK && flags&msgWaitAll != 0 && n > 0:
			return outcome{n: int64(total)}, false
		}
		if err != socket.OK {
			return failed(err), err != syscall.EAGAIN
		}
		return outcome{n: int64(total)}, true
	})
}

// writing writes all, as far as the socket may block.
func (p *player) writing(f *file, size int, flags int64) operation {
	written := 0
	if flags&msgMore != 0 {
		f.SetCork(true)
	} else if f.values["TCP_CORK"] == 0 {
		f.SetCork(false)
	}
	return p.blocking(f, flags&msgDontWait != 0, f.Settings().SendTimeout, func() (outcome, bool) {
		b := make([]byte, size-written)
		fill(b, f.wrote)
		n, err := f.Write(b)
		f.wrote += n
		written += n
		switch {
		case err == socket.OK && written == size:
			return done(written)
		case err != socket.OK && err != syscall.EAGAIN:
			if written > 0 {
				return done(written)
			}
			return failed(err), true
		case written > 0:
			return outcome{n: int64(written)}, false
		}
		return failed(syscall.EAGAIN), false
	})
}
