package chaostest_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cairndata/cairn/pkg/remote/chaostest"
)

// Each fault does what it says, and nothing else, on both kinds of line.
func TestFaults(t *testing.T) {
	t.Parallel()
	body := strings.Repeat("0123456789abcdef", 4096)
	type outcome struct {
		ok, same bool  // an answer of 200 came; with the bytes that were sent
		served   int64 // how often the server did it
	}
	ask := func(t *testing.T, via func(url string) string) outcome {
		var served atomic.Int64
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			served.Add(1)
			_, _ = w.Write(b)
		}))
		defer srv.Close()
		client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := client.Post(via(srv.URL), "text/plain", strings.NewReader(body))
		if err != nil {
			return outcome{served: served.Load()}
		}
		defer resp.Body.Close()
		got, err := io.ReadAll(resp.Body)
		return outcome{err == nil && resp.StatusCode == http.StatusOK, bytes.Equal(got, []byte(body)), served.Load()}
	}
	for fault, want := range map[chaostest.Fault]outcome{
		"":                  {true, true, 1},
		chaostest.Refuse:    {false, false, 0},
		chaostest.LoseReply: {false, false, 1},
		chaostest.Reset:     {false, false, 0},
		chaostest.ResetLate: {false, false, 1},
		chaostest.Short:     {false, false, 1},
		chaostest.FlipDown:  {true, false, 1},
		chaostest.FlipUp:    {true, false, 1},
		chaostest.Twice:     {true, true, 2},
		chaostest.Stall:     {false, false, 0},
	} {
		t.Run("request "+string(fault), func(t *testing.T) {
			t.Parallel()
			o := chaostest.Options{Seed: 1, Latency: time.Millisecond}
			if fault != "" {
				o.Rate, o.Faults = 1, []chaostest.Fault{fault}
			}
			got := ask(t, func(url string) string { return chaostest.HTTP(t, url, o).URL })
			if got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
	for fault, want := range map[chaostest.Fault]outcome{
		"":                 {ok: true, same: true},
		chaostest.Reset:    {},
		chaostest.Short:    {},
		chaostest.FlipDown: {},
		chaostest.Stall:    {},
	} {
		t.Run("connection "+string(fault), func(t *testing.T) {
			t.Parallel()
			o := chaostest.Options{Seed: 1, Latency: time.Millisecond}
			if fault != "" {
				o.Rate, o.Faults = 1, []chaostest.Fault{fault}
			}
			got := ask(t, func(url string) string {
				return "http://" + chaostest.TCP(t, strings.TrimPrefix(url, "http://"), o).Addr
			})
			if got.ok && got.same != want.same || !want.ok && got.same {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}
