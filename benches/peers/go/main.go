// What golang.org/x/oauth2 adds to a request, measured as ../src measures others: its Transport on a RoundTripper that does
// nothing, beside one that sets a static header, and on a real one, to the server of the first argument. Prints the figures as JSON, by the names of the table's columns.
package main

import (
	"encoding/json"
	"io"
	"math"
	"net/http"
	"os"
	"runtime"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/oauth2"
)

const (
	secret      = "Zx3Qm0tKXo2hZx3Qm0tKXo2hZx3Qm0tKXo2hZx3Qm0tKXo2hZx3Qm0tKXo2hZx3Qm0tKXo2hZx3Qm0tKXo2h12"
	latency     = 50 * time.Millisecond
	workers     = 2
	members     = 64
	calls       = 32
	roundsAlone = 3001
	roundsCrowd = 501
	herdSize    = 10000
	senders     = 16
	sentCalls   = 250
	roundsSent  = 61
)

// bare is what all else is compared with.
type bare struct{}

func (bare) RoundTrip(*http.Request) (*http.Response, error) { return &answer, nil }

var answer = http.Response{StatusCode: http.StatusOK, Body: http.NoBody}

// static sets a header, on a copy: a RoundTripper must not change its request.
type static struct{ base http.RoundTripper }

func (s static) RoundTrip(request *http.Request) (*http.Response, error) {
	copied := *request
	copied.Header = make(http.Header, len(request.Header)+1)
	for name, values := range request.Header {
		copied.Header[name] = values
	}
	copied.Header["Authorization"] = authorization
	return s.base.RoundTrip(&copied)
}

var authorization = []string{"Bearer " + secret}

// source takes its time for each token but the first, if that is there before.
type source struct {
	asked int64
	first time.Duration
}

func (s *source) Token() (*oauth2.Token, error) {
	lifetime := 24 * time.Hour
	if number := atomic.AddInt64(&s.asked, 1); number == 1 && s.first != 0 {
		lifetime = s.first
	} else {
		time.Sleep(latency)
	}
	return &oauth2.Token{AccessToken: secret, Expiry: time.Now().Add(lifetime)}, nil
}

func transport(s *source) http.RoundTripper {
	return &oauth2.Transport{Source: oauth2.ReuseTokenSource(nil, s), Base: bare{}}
}

func newRequest() *http.Request {
	return requestTo("https://api.example.com/api/v2/analytics/conversations/details/query")
}

func requestTo(url string) *http.Request {
	request, err := http.NewRequest(http.MethodPost, url, strings.NewReader("{}"))
	if err != nil {
		panic(err)
	}
	for name, value := range map[string]string{
		"Accept":          "application/json",
		"Accept-Encoding": "gzip",
		"Content-Type":    "application/json",
		"User-Agent":      "bench/1.0",
		"X-Request-Id":    "0123456789",
		"Traceparent":     "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
	} {
		request.Header.Set(name, value)
	}
	return request
}

func send(client http.RoundTripper, request *http.Request) {
	response, err := client.RoundTrip(request)
	if err != nil {
		panic(err)
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
}

func requests() []*http.Request {
	made := make([]*http.Request, calls)
	for index := range made {
		made[index] = newRequest()
	}
	return made
}

func alone(client http.RoundTripper) float64 {
	made := requests()
	started := time.Now()
	for _, request := range made {
		send(client, request)
	}
	return float64(time.Since(started).Nanoseconds()) / calls
}

// crowd lets all go at once, while nobody sleeps: to be woken takes longer than what is measured.
func crowd(client http.RoundTripper) float64 {
	var missing, inside int64 = members, members
	var started, ended int64
	var done sync.WaitGroup
	done.Add(1)
	epoch := time.Now()
	for member := 0; member < members; member++ {
		go func() {
			made := requests()
			if atomic.AddInt64(&missing, -1) == 0 {
				atomic.StoreInt64(&started, int64(time.Since(epoch)))
			}
			for atomic.LoadInt64(&started) == 0 {
				runtime.Gosched()
			}
			for _, request := range made {
				send(client, request)
			}
			if atomic.AddInt64(&inside, -1) == 0 {
				atomic.StoreInt64(&ended, int64(time.Since(epoch)))
				done.Done()
			}
		}()
	}
	done.Wait()
	return float64(ended-started) * workers / (members * calls)
}

// added is the medians of what two clients add to the bare one, in rounds that take turns.
func added(rounds int, measure func(http.RoundTripper) float64) [2]float64 {
	clients := []http.RoundTripper{bare{}, static{bare{}}, transport(&source{first: 24 * time.Hour})}
	figures := make([][]float64, len(clients))
	for round := 0; round < rounds; round++ {
		for index, client := range clients {
			figures[index] = append(figures[index], measure(client))
		}
	}
	for _, figures := range figures {
		sort.Float64s(figures)
	}
	middle := rounds / 2
	return [2]float64{figures[1][middle] - figures[0][middle], figures[2][middle] - figures[0][middle]}
}

// cpu is the process's own, system calls included.
func cpu() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

func sentRound(client http.RoundTripper, url string) float64 {
	started := cpu()
	var done sync.WaitGroup
	done.Add(senders)
	for sender := 0; sender < senders; sender++ {
		go func() {
			defer done.Done()
			for call := 0; call < sentCalls; call++ {
				send(client, requestTo(url))
			}
		}()
	}
	done.Wait()
	return cpu() - started
}

// sent is the CPU time of requests over loopback, divided by that of the same without a token just before or after.
func sent(url string) float64 {
	base := &http.Transport{MaxIdleConnsPerHost: senders}
	tokens := oauth2.ReuseTokenSource(nil, &source{first: 24 * time.Hour})
	clients := []http.RoundTripper{base, &oauth2.Transport{Source: tokens, Base: base}}
	var ratios []float64
	for round := 0; round < roundsSent; round++ {
		var figures [2]float64
		for turn := range clients {
			index := (round + turn) % len(clients)
			figures[index] = sentRound(clients[index], url)
		}
		ratios = append(ratios, figures[1]/figures[0])
	}
	sort.Float64s(ratios)
	return ratios[roundsSent/2]
}

// herd is how many tokens were asked for, and the seconds that 99 of 100 had theirs within.
func herd(first time.Duration) (float64, float64) {
	tokens := &source{first: first}
	client := transport(tokens)
	if first != 0 {
		send(client, newRequest())
		tokens.asked = 1
	}
	waits := make([]float64, herdSize)
	var done sync.WaitGroup
	done.Add(herdSize)
	for member := range waits {
		go func(wait *float64) {
			defer done.Done()
			request := newRequest()
			started := time.Now()
			send(client, request)
			*wait = time.Since(started).Seconds()
		}(&waits[member])
	}
	done.Wait()
	sort.Float64s(waits)
	asked := float64(atomic.LoadInt64(&tokens.asked))
	if first != 0 {
		asked--
	}
	return asked, waits[herdSize*99/100]
}

func main() {
	runtime.GOMAXPROCS(workers)
	client, request := transport(&source{first: 24 * time.Hour}), newRequest()
	allocations := testing.AllocsPerRun(100, func() { send(client, request) }) -
		testing.AllocsPerRun(100, func() { send(bare{}, request) })
	one, many := added(roundsAlone, alone), added(roundsCrowd, crowd)
	coldAsked, coldWait := herd(0)
	dueAsked, dueWait := herd(5 * time.Second)
	round := func(figure float64) float64 { return math.Round(figure*1e4) / 1e4 }
	err := json.NewEncoder(os.Stdout).Encode([]float64{
		round(one[1]), round(one[1] / one[0]),
		round(many[1]), round(many[1] / many[0]),
		round(sent(os.Args[1])),
		allocations,
		coldAsked, round(coldWait / latency.Seconds()), 0,
		dueAsked, round(dueWait * 1e3),
	})
	if err != nil {
		panic(err)
	}
}
