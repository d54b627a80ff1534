package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"time"
)

// A LoadReport is what clients saw of a server.
type LoadReport struct {
	Clients  int
	Requests int
	Errors   int
	First    error // of the errors
	Took     time.Duration
	P50, P99 time.Duration
	Before   uint64 // live bytes after the first tenth of the time, and at the end
	After    uint64
}

func (r *LoadReport) String() string {
	s := fmt.Sprintf("%d clients, %d requests in %.1f s (%.0f a second): p50 %.2f ms, p99 %.2f ms, %d errors; live memory %.2f MiB, then %.2f MiB",
		r.Clients, r.Requests, r.Took.Seconds(), float64(r.Requests)/r.Took.Seconds(),
		r.P50.Seconds()*1e3, r.P99.Seconds()*1e3, r.Errors, float64(r.Before)/(1<<20), float64(r.After)/(1<<20))
	if r.First != nil {
		s += fmt.Sprintf("; the first error: %v", r.First)
	}
	return s
}

// Load serves on the loopback and has clients send requests one after the other
// for some time, then stops the server as a signal would.
func (s *Server) Load(ctx context.Context, long time.Duration, clients int) (*LoadReport, error) {
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		return nil, err
	}
	serving, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(serving, l) }()
	body := s.sample()
	r := &LoadReport{Clients: clients}
	ctx, cancel := context.WithTimeout(ctx, long)
	defer cancel()
	time.AfterFunc(long/10, func() { r.Before = live() })
	var mu sync.Mutex
	var times []time.Duration
	var wg sync.WaitGroup
	start := time.Now()
	for range clients {
		wg.Go(func() {
			c := client{address: l.Addr().String()}
			defer c.close()
			for ctx.Err() == nil {
				began := time.Now()
				err := c.post("/run", body)
				took := time.Since(began)
				mu.Lock()
				times = append(times, took)
				if err != nil {
					r.Errors++
					if r.First == nil {
						r.First = err
					}
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	r.Took = time.Since(start)
	r.Requests = len(times)
	slices.Sort(times)
	if n := len(times); n > 0 {
		r.P50, r.P99 = times[n/2], times[n*99/100]
	}
	times = nil
	r.After = live()
	stop()
	return r, <-served
}

// live returns the bytes that are in use.
func live() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// sample makes the body of a request.
func (s *Server) sample() []byte {
	var body []byte
	for _, v := range s.plan.Inputs() {
		n := 1
		for _, d := range v.Shape {
			n *= d.Size
		}
		for i := range n {
			x := float32(0)
			if v.DType.Float() {
				x = float32(i%17)/8 - 1
			}
			body = binary.LittleEndian.AppendUint32(body, math.Float32bits(x))
		}
	}
	return body
}

// A client has one connection at a time. It is not that of net/http, which would
// make the command larger by half a megabyte.
type client struct {
	address string
	conn    net.Conn
	r       *bufio.Reader
}

func (c *client) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// post sends a request, and returns what is wrong with the answer.
func (c *client) post(path string, body []byte) (err error) {
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	if c.conn == nil {
		if c.conn, err = net.Dial("tcp", c.address); err != nil {
			return err
		}
		c.r = bufio.NewReader(c.conn)
	}
	req, err := http.NewRequest("POST", "http://"+c.address+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	if err := req.Write(c.conn); err != nil {
		return err
	}
	resp, err := http.ReadResponse(c.r, req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", resp.Status, text)
	}
	var out response
	if err := json.Unmarshal(text, &out); err != nil {
		return err
	}
	if len(out.Outputs) == 0 {
		return errors.New("an answer without outputs")
	}
	return nil
}
