// Command edge serves a model over HTTP: what a service does that embeds nnz. It
// compiles the model once, keeps a pool of sessions, limits what a request may
// cost, and stops when it is told to, once running requests have their answer.
//
//	edge -model model.onnx -listen localhost:8080
//	curl -d '{"inputs": {"x": [0.1, 0.2, 0.3]}}' localhost:8080/run
//
// With -load it serves itself on the loopback and measures that.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/nnz-dev/nnz"
)

func main() {
	model := flag.String("model", "", "ONNX or .nnz `file`; its shapes must be fixed")
	listen := flag.String("listen", "localhost:8080", "`address` to serve on")
	sessions := flag.Int("sessions", 0, "requests that run at once; 0 is one a thread of the CPU")
	waiting := flag.Int("waiting", 64, "requests that may wait for a session; more are refused")
	body := flag.Int64("max-body", 16<<20, "`bytes` of a request's body at most")
	load := flag.Duration("load", 0, "serve on the loopback and send requests for so `long`")
	clients := flag.Int("clients", 8, "clients of -load")
	flag.Parse()
	if *model == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *model, *listen, Limits{Sessions: *sessions, Waiting: *waiting, Body: *body}, *load, *clients); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, path, listen string, limits Limits, load time.Duration, clients int) error {
	m, err := nnz.Load(ctx, path)
	if err != nil {
		return err
	}
	// Requests run beside one another, so each takes one thread: that does more
	// in an hour than requests that share their threads.
	plan, err := nnz.Compile(ctx, m, nnz.Config{Threads: 1})
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	s := NewServer(plan, limits)
	if load > 0 {
		r, err := s.Load(ctx, load, clients)
		if err != nil {
			return err
		}
		fmt.Println(r)
		return nil
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	log.Printf("serving %s on http://%s/run", path, l.Addr())
	return s.Serve(ctx, l)
}

// Serve answers requests until ctx ends, then lets those that run finish, for
// ten seconds at most.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := server.Shutdown(grace)
	if err != nil {
		err = errors.Join(err, server.Close())
	}
	s.Close()
	return err
}
