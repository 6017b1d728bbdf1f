package metrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/loader"
	"github.com/millrace-tcp/millrace/stack/engine"
)

// numbered is a NIC of two queues, each counter of which has a value of its own.
type numbered struct {
	counters loader.Counters
	ports    []dataplane.Stats
	engines  []engine.Stats
	want     map[string]string // the value of each, by its field
}

func newNumbered() *numbered {
	n := &numbered{ports: make([]dataplane.Stats, 2), engines: make([]engine.Stats, 2)}
	n.want = make(map[string]string)
	n.number("counters", reflect.ValueOf(&n.counters).Elem())
	for i := range 2 {
		n.number(fmt.Sprint("ports", i), reflect.ValueOf(&n.ports[i]).Elem())
		n.number(fmt.Sprint("engines", i), reflect.ValueOf(&n.engines[i]).Elem())
	}
	return n
}

// number gives each field of a struct the next value.
func (n *numbered) number(name string, v reflect.Value) {
	for i := range v.NumField() {
		field := name + "." + v.Type().Field(i).Name
		value := 1000 + len(n.want)
		switch f := v.Field(i); f.Kind() {
		case reflect.Struct:
			n.number(field, f)
			continue
		case reflect.Uint64:
			f.SetUint(uint64(value))
		case reflect.Int:
			f.SetInt(int64(value))
		default:
			panic("a counter of kind " + f.Kind().String())
		}
		n.want[field] = fmt.Sprint(value)
	}
}

func (n *numbered) Counters() loader.Counters    { return n.counters }
func (n *numbered) PortStats() []dataplane.Stats { return n.ports }
func (n *numbered) Stats() []engine.Stats        { return n.engines }
func (n *numbered) BufferOctets() int64          { return 999 }

// Collectors makes it a Source.
func (n *numbered) Collectors() []prometheus.Collector { return []prometheus.Collector{NewNIC(n)} }

// scrape opens the page and reads what a Prometheus server would.
func scrape(t *testing.T, source any) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	addr, err := Start(ctx, "127.0.0.1:0", source, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.Get("http://" + addr.String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%v, %v: %s", res.Status, err, b)
	}
	return string(b)
}

// Every counter that there is, is exported once, also one that is added tomorrow.
func TestAllCountersAreExported(t *testing.T) {
	n := newNumbered()
	page := scrape(t, n)
	samples := make(map[string][]string) // by value
	for _, m := range regexp.MustCompile(`(?m)^(millrace_\S+) (\S+)$`).FindAllStringSubmatch(page, -1) {
		samples[m[2]] = append(samples[m[2]], m[1])
	}
	for field, value := range n.want {
		if len(samples[value]) != 1 {
			t.Errorf("%s is exported as %q, want once: see the tables in nic.go", field, samples[value])
		}
	}
	if len(samples["999"]) != 1 {
		t.Errorf("buffers: %q", samples["999"])
	}
}

func TestNames(t *testing.T) {
	n := newNumbered()
	page := scrape(t, n)
	for _, want := range []string{
		fmt.Sprintf("\nmillrace_xdp_packets_total{reason=\"redirected\"} %d\n", n.counters.Redirected),
		fmt.Sprintf("\nmillrace_xdp_packets_total{reason=\"passed_unclaimed\"} %d\n", n.counters.PassedUnclaimed),
		fmt.Sprintf("\nmillrace_port_receive_frames_total{queue=\"1\"} %d\n", n.ports[1].RXFrames),
		fmt.Sprintf("\nmillrace_port_drops_total{queue=\"0\",reason=\"receive_full\"} %d\n", n.ports[0].RXDropped),
		fmt.Sprintf("\nmillrace_drops_total{queue=\"1\",reason=\"ip_checksum\"} %d\n", n.engines[1].Drop.IPChecksum),
		fmt.Sprintf("\nmillrace_drops_total{queue=\"0\",reason=\"not_syn\"} %d\n", n.engines[0].Drop.NotSYN),
		fmt.Sprintf("\nmillrace_tcp_events_total{event=\"RetransSegs\",queue=\"0\"} %d\n", n.engines[0].TCP.RetransSegs),
		fmt.Sprintf("\nmillrace_connections{queue=\"0\"} %d\n", n.engines[0].Conns),
		"# TYPE millrace_drops_total counter\n", "# TYPE millrace_connections gauge\n", "\ngo_goroutines ",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q", want)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^# (HELP|TYPE) (millrace_\S+) (.*)$`).FindAllStringSubmatch(page, -1) {
		if counter := m[3] == "counter"; m[1] == "TYPE" && counter != strings.HasSuffix(m[2], "_total") {
			t.Errorf("%s is a %s", m[2], m[3])
		}
		if m[1] == "HELP" && (!strings.HasSuffix(m[3], ".") || len(m[3]) < 10) {
			t.Errorf("%s is explained as %q", m[2], m[3])
		}
	}
}

// A network without metrics of its own has those of the process; what is served twice is
// an error and not a panic.
func TestStart(t *testing.T) {
	if page := scrape(t, nil); strings.Contains(page, "millrace_") || !strings.Contains(page, "go_goroutines") {
		t.Errorf("got %s", page)
	}
	_, err := Start(t.Context(), "127.0.0.1:0", twice{newNumbered()}, func(error) {})
	if already := (prometheus.AlreadyRegisteredError{}); !errors.As(err, &already) {
		t.Errorf("got %v, want %T", err, already)
	}
}

type twice struct{ *numbered }

func (w twice) Collectors() []prometheus.Collector {
	return append(w.numbered.Collectors(), w.numbered.Collectors()...)
}

func TestSnake(t *testing.T) {
	for name, want := range map[string]string{
		"Ethernet": "ethernet", "IPHeader": "ip_header", "NotTCP": "not_tcp", "TCPOptions": "tcp_options",
		"ICMP": "icmp", "NotSYN": "not_syn", "ConnsMax": "conns_max",
	} {
		if got := snake(name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}
