package trace_test

import (
	"bytes"
	"context"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/trace"
)

// samplePage is a page with two flows and all that a page can have.
func samplePage() *trace.Page {
	p := trace.NewPage("reno & <two> flows", 2*time.Second)
	p.Subtitle = "rate=20mbit,rtt=50ms"
	p.MSS = 1000
	p.Facts = []trace.Fact{{Name: "Utilization", Value: "0.98"}, {Name: "Loss", Value: "0.1 %", Note: "12 packets"}}
	p.Tables = []trace.Table{{
		Title: "Flows", Head: []string{"flow", "cc", "verdict"}, Rows: [][]string{{"0", "reno", "pass"}, {"1", "<script>", "fail"}},
		Marks: []string{"pass", "fail"},
	}}
	p.Capacity = func(time.Duration) float64 { return 20e6 }
	p.Flow(0, "flow 0, reno")
	p.Flow(1, "flow 1, reno?a=\"b\"")
	saw(0, p)
	saw(1, p)
	p.Scatter("Throughput over delay", "", []trace.Dot{{Name: "reno", Delay: 40, Rate: 19, DelayCI: 3, RateCI: 0.5}, {Name: "vegas", Delay: 3, Rate: 18}})
	return p
}

// writePage writes a page into a file of the test's.
func writePage(t *testing.T, p *trace.Page) (name string, text string) {
	t.Helper()
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	name = filepath.Join(t.TempDir(), "page.html")
	if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return name, b.String()
}

// The page needs nothing but itself, and what it was given cannot break out of its place.
func TestPageIsSelfContained(t *testing.T) {
	_, text := writePage(t, samplePage())
	if m := regexp.MustCompile(`(?i)(src|href|url\(|@import|https?:)[^ ]{0,40}`).FindString(text); m != "" {
		t.Errorf("refers to something else: %q", m)
	}
	for _, bad := range []string{"<two>", "<script></td>", `a="b`} {
		if strings.Contains(text, bad) {
			t.Errorf("%q was not escaped", bad)
		}
	}
	if n := strings.Count(text, "<svg"); n != 6 {
		t.Errorf("%d plots, want a scatter, two windows, throughput, queue and round trip", n)
	}
	// Two episodes of each flow, one of which turned from fast recovery into one after a time-out.
	if fast, loss := strings.Count(text, `class="band fast"`), strings.Count(text, `class="band loss"`); fast != 4 || loss != 2 {
		t.Errorf("%d and %d shaded stretches, want 4 and 2", fast, loss)
	}
	// The first episode is from 0.80 to 0.84 s of 2 s on 820 pixels.
	if !strings.Contains(text, `<rect class="band fast" x="392" y="12" width="16.4"`) {
		t.Errorf("no band where the first episode is: %v", regexp.MustCompile(`<rect class="band[^>]*>`).FindString(text))
	}
}

// However many points there are, a line has no more than four for each pixel, and its peaks.
func TestPageThinsLines(t *testing.T) {
	p := trace.NewPage("long", 1000*time.Second)
	e := trace.Entry{Tick: true}
	e.Ssthresh = 1 << 30
	for i := range 400_000 { // eight times as many as are kept
		e.At, e.Cwnd = time.Duration(i)*2500*time.Microsecond, 10_000
		if i == 44_444 {
			e.Cwnd = 50_000
		}
		p.Put(&e)
	}
	_, text := writePage(t, p)
	cwnd := regexp.MustCompile(`data-name="cwnd" points="([^"]*)"`).FindStringSubmatch(text)
	if cwnd == nil {
		t.Fatal("no line for cwnd")
	}
	points := strings.Fields(cwnd[1])
	if len(points) > 4*900 || len(points) < 820 {
		t.Errorf("%d points", len(points))
	}
	peaks := 0
	for _, q := range points {
		if strings.HasSuffix(q, ",27.41") { // 50 of 54, of 208 pixels
			peaks++
		}
	}
	if peaks != 1 {
		t.Errorf("%d points at the peak, want 1", peaks)
	}
}

// chromium returns the browser, or skips.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("MILLRACE_REQUIRE_ROOT") == "1" || os.Getenv("CI") != "" {
		t.Fatal("chromium is not installed: apt-get install chromium")
	}
	t.Skip("chromium is not installed: apt-get install chromium")
	return ""
}

// browse opens a page without a network, and returns what the browser prints.
func browse(t *testing.T, page string, flags ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	args := append([]string{
		"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
		"--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND", "--user-data-dir=" + t.TempDir(),
		"--virtual-time-budget=2000", "--window-size=1100,2400",
	}, flags...)
	cmd := exec.CommandContext(ctx, chromium(t), append(args, "file://"+page)...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("chromium: %v\n%s", err, stderr.String())
	}
	return string(out)
}

// In a browser the script runs and finds the plots, and nothing but the page was asked for.
func TestPageInBrowser(t *testing.T) {
	name, _ := writePage(t, samplePage())
	dom := browse(t, name, "--dump-dom")
	if !strings.Contains(dom, `data-ready="6"`) {
		t.Error("the script did not run to its end")
	}
	if strings.Count(dom, "<svg") != 6 || !strings.Contains(dom, "reno &amp; &lt;two&gt; flows</h1>") {
		t.Error("the page is not what was written")
	}
}

// A pointer above a plot shows the values there, read back from the drawing: at 0.4 s of two, cwnd is
// that of the fortieth entry, 51 segments.
func TestPageShowsValues(t *testing.T) {
	name, text := writePage(t, samplePage())
	text += `<script>{
		const svg = document.querySelectorAll("svg")[1], box = svg.getBoundingClientRect();
		const x = box.left + (64 + 820 * 0.2001) / 900 * box.width; // of the plot's 820 units, from 64 on
		svg.dispatchEvent(new PointerEvent("pointermove", {clientX: x, clientY: box.top + 50}));
	}</script>`
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	_, tip, _ := strings.Cut(browse(t, name, "--dump-dom"), `<output id="tip"`)
	tip, _, _ = strings.Cut(tip, "</output>")
	for _, want := range []string{"<b>0.40 s</b>", "<i>cwnd</i>51.0 segments", "<i>in flight</i>45."} {
		if !strings.Contains(tip, want) {
			t.Errorf("no %q in %q", want, tip)
		}
	}
}

// Light and dark, the page is drawn: background, text and each flow's color are there.
func TestPageScreenshots(t *testing.T) {
	name, _ := writePage(t, samplePage())
	for _, theme := range []struct {
		name, flag string
		page, c0   [3]uint32
	}{
		{"light", "--blink-settings=preferredColorScheme=1", [3]uint32{0xf6, 0xf7, 0xf9}, [3]uint32{0x25, 0x63, 0xc9}},
		{"dark", "--blink-settings=preferredColorScheme=0", [3]uint32{0x0f, 0x12, 0x18}, [3]uint32{0x72, 0xa5, 0xf8}},
	} {
		shot := filepath.Join(t.TempDir(), theme.name+".png")
		if dir := os.Getenv("MILLRACE_SCREENSHOTS"); dir != "" {
			shot = filepath.Join(dir, theme.name+".png")
		}
		browse(t, name, theme.flag, "--screenshot="+shot)
		f, err := os.Open(shot)
		if err != nil {
			t.Fatal(err)
		}
		img, err := png.Decode(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		seen := make(map[[3]uint32]int)
		for y := img.Bounds().Min.Y; y < img.Bounds().Max.Y; y++ {
			for x := img.Bounds().Min.X; x < img.Bounds().Max.X; x++ {
				r, g, b, _ := img.At(x, y).RGBA()
				seen[[3]uint32{r >> 8, g >> 8, b >> 8}]++
			}
		}
		if seen[theme.page] < 50_000 || seen[theme.c0] < 100 {
			t.Errorf("%s: %d pixels of background and %d of the first color", theme.name, seen[theme.page], seen[theme.c0])
		}
	}
}
