package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/congestion/catalog"
)

// binary is the program under test.
var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "millrace-cli-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "millrace")
		if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// run runs the program to its end.
func run(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second) // also in a clean-up
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	var out, diag bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &diag
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), diag.String(), cmd.ProcessState.ExitCode()
}

// A mistake on the command line is one line on stderr, nothing on stdout, and status 2.
func TestUsageErrors(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct{ args, want string }{
		{"frobnicate", `unknown command "frobnicate" for millrace (see millrace --help)`},
		{"serv", `unknown command "serv" for millrace, did you mean serve? (see millrace --help)`},
		{"--frobnicate", `unknown flag: --frobnicate (see millrace --help)`},
		{"serve", `say what to serve: chargen, discard, echo, http`},
		{"serve gopher", `unknown command "gopher" for millrace serve (see millrace serve --help)`},
		{"serve echo", `millrace serve echo needs --listen (see millrace serve echo --help)`},
		{"serve echo --listen 80", `invalid argument "80" for "--listen" flag: "80" is not an address such as :8080 or 192.0.2.1:8080 (see millrace serve echo --help)`},
		{"serve echo --listen :70000", `invalid argument ":70000" for "--listen" flag: "70000" is not a port from 0 to 65535 (see millrace serve echo --help)`},
		{"serve echo --listen :7 x", `millrace serve echo takes no argument, got "x"`},
		{"serve echo --listen :7 --limit 0", `--limit 0 is less than 1`},
		{"serve echo --listen :7 --mode fast", `invalid argument "fast" for "--mode" flag: must be one of auto, zerocopy, copy, generic (see millrace serve echo --help)`},
		{"serve echo --listen :7 --spin long", `invalid argument "long" for "--spin" flag: must be a duration such as 50us, or inf (see millrace serve echo --help)`},
		{"serve echo --listen :7 --pin 3-1", `invalid argument "3-1" for "--pin" flag: must be auto or a list such as 0-3,8 (see millrace serve echo --help)`},
		{"serve echo --listen :7 --queues -1", `--queues -1 is negative`},
		{"serve echo --listen :7 --cc nonesuch", `--cc: there is no "nonesuch", there is ` + strings.Join(catalog.All().Names(), ", ")},
		{"serve echo --listen :7 --metrics x", `--metrics: "x" is not an address such as :8080 or 192.0.2.1:8080`},
		{"serve echo --listen :7 --stack kernel --nic lo", `--nic means nothing with --stack kernel`},
		{"serve http --listen :80", `millrace serve http needs --root (see millrace serve http --help)`},
		{"serve http --listen :80 --root " + dir + "/none", `--root: open ` + dir + `/none: no such file or directory`},
		{"bench", `say what to bench: compare, crr, idle, modes, raw, rr, serve, table, throughput`},
		{"bench throughput --stack tcp", `--stack tcp: a lab has millrace, millrace-handler, millrace-in-place, millrace-native, millrace-both, millrace-both-handler, kernel, kernel-xdp, kernel-generic, raw, raw-native, raw-spin, raw-reflect, gvisor-xdp, gvisor-xdp-native, gvisor-packet`},
		{"bench rr --stack memory-copy --link pipe", `--stack memory-copy has no rr`},
		{"bench throughput --flows 0 --link pipe --flows -1", `-1 connections is not from 1 to 16383`},
		{"bench throughput --mtu 100", `--mtu 100 is not from 576 to 65000`},
		{"bench throughput --rounds 0", `--rounds 0 is not from 1 to 1000`},
		{"bench throughput --time 1ms", `--time 1ms is not from 10ms to 1h0m0s`},
		{"bench throughput --link nic --nic lo", `millrace bench throughput needs --to (see millrace bench throughput --help)`},
		{"bench throughput --to 10.0.0.1:1", `--to is for --link nic`},
		{"bench rr --peers /nonesuch", `--peers: there is no /nonesuch`},
		{"bench compare --only nonesuch", `--only: there is no section "nonesuch", there are veth-1500-bulk, veth-1500-messages, veth-1500-web, veth-mtu, veth-queues, pipe, idle`},
		{"bench serve", `millrace bench serve needs --listen (see millrace bench serve --help)`},
		{"proxy --listen :80", `millrace proxy needs --to (see millrace proxy --help)`},
		{"proxy --listen :80 --to here", `--to: "here" is not an address such as :8080 or 192.0.2.1:8080`},
		{"get", `millrace get takes one URL, got 0`},
		{"get example.org", `"example.org" is not a URL that begins with http:// or https://`},
		{"get http://", `"http://" names no host`},
		{"nc host", `millrace nc takes HOST and PORT, or -l and a PORT, got 1`},
		{"nc host http", `"http" is not a port from 0 to 65535`},
		{"iperf3", `iperf3 needs either -s or -c HOST (see millrace iperf3 --help)`},
		{"iperf3 -s -c x", `iperf3 needs either -s or -c HOST (see millrace iperf3 --help)`},
		{"iperf3 -s -R", `--reverse is for a client (-c)`},
		{"iperf3 -c x -1", `--one-off is for a server (-s)`},
		{"iperf3 -c x -P 129", `129 streams, of at most 128`},
		{"iperf3 -c x -t 0", `--time 0 is less than 1`},
		{"iperf3 -c x -n 1X", `--bytes: iperf3: "1X" is not a size such as 128K or 10M`},
		{"iperf3 -c x -l 2M", `--length 2M is not from 1 to 1048576`},
		{"lab exec c -- true", `millrace lab exec takes a or b, --, and a program with its arguments`},
		{"lab up --mtu none", `invalid argument "none" for "--mtu" flag: strconv.ParseInt: parsing "none": invalid syntax (see millrace lab up --help)`},
		{"demo x", `millrace demo takes no argument, got "x"`},
		{"demo --time 1ms", `--time 1ms is not from 1s to 1h0m0s`},
		{"serve echo --listen :7 --cc reno?x=1", `--cc: reno: there is no option "x", there is L`},
		{"cc list x", `millrace cc list takes no argument, got "x"`},
	} {
		stdout, stderr, status := run(t, strings.Fields(tt.args)...)
		if status != 2 || stdout != "" || stderr != "millrace: "+tt.want+"\n" {
			t.Errorf("millrace %s: status %d, stdout %q, stderr\n%swant status 2,\n%s", tt.args, status, stdout, stderr, "millrace: "+tt.want)
		}
	}
}

func TestUnknownNICNamesThoseThereAre(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no AF_XDP on this system")
	}
	_, stderr, status := run(t, "serve", "echo", "--listen", ":7", "--nic", "nonesuch0")
	want := regexp.MustCompile(`^millrace: --nic: there is no interface "nonesuch0", there are lo.*\n$`)
	if status != 2 || !want.MatchString(stderr) {
		t.Errorf("status %d, stderr %q, want 2, %v", status, stderr, want)
	}
}

// A failure at run time is one line on stderr and status 1.
func TestFailures(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := free.Addr().String()
	_ = free.Close()
	host, port, _ := net.SplitHostPort(closed)
	for _, tt := range []struct{ args, want string }{
		{"serve echo --stack kernel --listen " + taken.Addr().String(), "address already in use"},
		{"get --stack kernel http://" + closed + "/", "connection refused"},
		{"nc --stack kernel " + host + " " + port, "connection refused"},
		{"iperf3 --stack kernel -c " + host + " -p " + port, "connection refused"},
		{"lab status --name millrace-cli-none", "no such lab"},
	} {
		_, stderr, status := run(t, strings.Fields(tt.args)...)
		if status != 1 || !strings.Contains(stderr, tt.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("millrace %s: status %d, stderr %q, want 1, one line with %q", tt.args, status, stderr, tt.want)
		}
	}
}

// Every command that does something explains itself with an example.
func TestHelp(t *testing.T) {
	for _, args := range []string{
		"", "demo", "peer", "serve", "serve http", "serve echo", "serve discard", "serve chargen", "proxy", "get", "nc",
		"iperf3", "lab", "lab up", "lab down", "lab status", "lab exec", "cc", "cc list", "version",
	} {
		stdout, stderr, status := run(t, append(strings.Fields(args), "--help")...)
		if status != 0 || stderr != "" || !example(args).MatchString(stdout) {
			t.Errorf("millrace %s --help: status %d, stderr %q, stdout\n%s", args, status, stderr, stdout)
		}
	}
}

// example matches the help of a command that has one.
func example(args string) *regexp.Regexp {
	return regexp.MustCompile(`Examples:\n(.*\n)*?  (.*\| |sudo )?millrace ` + args)
}

// start runs a server and waits until it listens.
func start(t *testing.T, args ...string) (cmd *exec.Cmd, address string, stdout *bytes.Buffer) {
	t.Helper()
	cmd = exec.CommandContext(t.Context(), binary, args...)
	stdout = new(bytes.Buffer)
	cmd.Stdout = stdout
	diag, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	found := make(chan string, 1)
	go func() {
		re := regexp.MustCompile(`msg=listening address=(\S+)`)
		var seen []byte
		block := make([]byte, 4096)
		for {
			n, err := diag.Read(block)
			seen = append(seen, block[:n]...)
			if m := re.FindSubmatch(seen); m != nil {
				select {
				case found <- string(m[1]):
				default:
				}
			}
			if err != nil {
				return
			}
		}
	}()
	select {
	case address = <-found:
		return cmd, address, stdout
	case <-time.After(10 * time.Second):
		t.Fatal("it does not listen")
		return nil, "", nil
	}
}

// A signal stops a server cleanly: status 0, connections closed.
func TestSignal(t *testing.T) {
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		cmd, address, _ := start(t, "serve", "echo", "--stack", "kernel", "--listen", "127.0.0.1:0")
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("%v: the connection ends with %v, want io.EOF", sig, err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v, want status 0", sig, err)
		}
		_ = c.Close()
	}
}

func TestGetWritesTheFile(t *testing.T) {
	dir := t.TempDir()
	want := bytes.Repeat([]byte("millrace"), 100_000)
	if err := os.WriteFile(filepath.Join(dir, "file"), want, 0o644); err != nil {
		t.Fatal(err)
	}
	_, address, _ := start(t, "serve", "http", "--stack", "kernel", "--listen", "127.0.0.1:0", "--root", dir)
	out := filepath.Join(dir, "out")
	if _, stderr, status := run(t, "get", "--stack", "kernel", "http://"+address+"/file", "-o", out); status != 0 || stderr != "" {
		t.Fatalf("status %d, %s", status, stderr)
	}
	if got, err := os.ReadFile(out); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d octets, %v, want the file's %d", len(got), err, len(want))
	}
	if stdout, _, status := run(t, "get", "--stack", "kernel", "http://"+address+"/file"); status != 0 || stdout != string(want) {
		t.Errorf("status %d, %d octets on stdout, want the file's %d", status, len(stdout), len(want))
	}
	_, stderr, status := run(t, "get", "--stack", "kernel", "http://"+address+"/none", "-o", out+"2")
	if status != 1 || !strings.Contains(stderr, "404 Not Found") {
		t.Errorf("status %d, %q, want 1 and 404", status, stderr)
	}
	if _, err := os.Stat(out + "2.part"); err == nil {
		t.Error("a 404 leaves a file behind")
	}
}

func TestNC(t *testing.T) {
	_, address, _ := start(t, "serve", "echo", "--stack", "kernel", "--listen", "127.0.0.1:0")
	host, port, _ := net.SplitHostPort(address)
	cmd := exec.CommandContext(t.Context(), binary, "nc", "--stack", "kernel", host, port)
	want := strings.Repeat("there and back ", 100_000)
	cmd.Stdin = strings.NewReader(want)
	if got, err := cmd.Output(); err != nil || string(got) != want {
		t.Errorf("%d octets came back, %v, want %d", len(got), err, len(want))
	}
}
