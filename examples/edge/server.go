package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"net/http"
	"runtime"
	"sync/atomic"

	"github.com/nnz-dev/nnz"
)

// Limits bound what requests may cost.
type Limits struct {
	Sessions int   // that run at once, each with memory of its own; 0 is GOMAXPROCS
	Waiting  int   // requests that wait for one of them
	Body     int64 // bytes
}

// A Server answers requests with a plan. It may be used by goroutines.
type Server struct {
	plan    *nnz.Plan
	limits  Limits
	idle    chan *nnz.Session
	waiting atomic.Int64
	mux     *http.ServeMux
}

// NewServer makes the sessions that requests run in.
func NewServer(plan *nnz.Plan, limits Limits) *Server {
	if limits.Sessions <= 0 {
		limits.Sessions = runtime.GOMAXPROCS(0)
	}
	s := &Server{plan: plan, limits: limits, idle: make(chan *nnz.Session, limits.Sessions), mux: http.NewServeMux()}
	for range limits.Sessions {
		s.idle <- plan.NewSession()
	}
	s.mux.HandleFunc("POST /run", s.run)
	s.mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	s.mux.HandleFunc("GET /model", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{"inputs": describe(plan.Inputs()), "outputs": describe(plan.Outputs())})
	})
	return s
}

// Close closes the sessions; requests must have had their answers.
func (s *Server) Close() {
	for range s.limits.Sessions {
		(<-s.idle).Close()
	}
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// A request holds the elements of every input in row-major order, in JSON; or, as
// application/octet-stream, those of all inputs one after the other as float32 in
// little-endian order, which takes a fraction of the time.
type request struct {
	Inputs map[string][]float64 `json:"inputs"`
	raw    []byte
}

// A response holds the outputs in the same way.
type response struct {
	Outputs map[string]output `json:"outputs"`
}

type output struct {
	Shape []int `json:"shape"`
	Data  any   `json:"data"`
}

// A statusError is an error that the client is to see, and its HTTP status.
type statusError struct {
	status int
	error
}

func (s *Server) run(w http.ResponseWriter, r *http.Request) {
	out, err := s.answer(w, r)
	if err == nil {
		answer(w, http.StatusOK, out)
		return
	}
	var e statusError
	if !errors.As(err, &e) {
		if r.Context().Err() != nil {
			return // nobody waits for the answer
		}
		log.Printf("run: %v", err)
		e = statusError{http.StatusInternalServerError, errors.New("the model could not be run")}
	}
	answer(w, e.status, map[string]string{"error": e.Error()})
}

// answer runs the model on what the request holds. The body is read before a
// session is taken: slow clients keep none from others.
func (s *Server) answer(w http.ResponseWriter, r *http.Request) (*response, error) {
	req, err := s.read(w, r)
	if err != nil {
		return nil, err
	}
	session, err := s.session(r)
	if err != nil {
		return nil, err
	}
	defer func() { s.idle <- session }()
	if err := s.fill(session, req); err != nil {
		return nil, err
	}
	if err := session.Run(r.Context()); err != nil {
		return nil, err
	}
	return s.outputs(session)
}

// read reads the body.
func (s *Server) read(w http.ResponseWriter, r *http.Request) (*request, error) {
	req := &request{}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.limits.Body))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, statusError{http.StatusRequestEntityTooLarge, fmt.Errorf("expected at most %d bytes", large.Limit)}
	case err != nil:
		return nil, statusError{http.StatusBadRequest, err}
	case r.Header.Get("Content-Type") == "application/octet-stream":
		req.raw = body
		return req, nil
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(req); err != nil {
		return nil, statusError{http.StatusBadRequest, fmt.Errorf("expected {\"inputs\": {name: [numbers]}}: %w", err)}
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, statusError{http.StatusBadRequest, errors.New("expected one JSON object and nothing after it")}
	}
	return req, nil
}

// session takes one from the pool, when one is idle.
func (s *Server) session(r *http.Request) (*nnz.Session, error) {
	select {
	case session := <-s.idle:
		return session, nil
	default:
	}
	defer s.waiting.Add(-1)
	if s.waiting.Add(1) > int64(s.limits.Waiting) {
		return nil, statusError{http.StatusServiceUnavailable, fmt.Errorf("%d requests are waiting already", s.limits.Waiting)}
	}
	select {
	case session := <-s.idle:
		return session, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// fill writes the inputs.
func (s *Server) fill(session *nnz.Session, req *request) error {
	inputs, raw := s.plan.Inputs(), req.raw
	for _, v := range inputs {
		in, err := session.Input(v.Name)
		if err != nil {
			return err
		}
		n := len(in.F) + len(in.I)
		data, ok := req.Inputs[v.Name]
		switch {
		case raw != nil && len(raw) < 4*n:
			return statusError{http.StatusBadRequest, fmt.Errorf("input %q: expected %d bytes, %d are left", v.Name, 4*n, len(raw))}
		case raw == nil && !ok:
			return statusError{http.StatusBadRequest, fmt.Errorf("input %q is missing", v.Name)}
		case raw == nil && len(data) != n:
			return statusError{http.StatusBadRequest, fmt.Errorf("input %q: expected %d numbers, got %d", v.Name, n, len(data))}
		}
		at := func(i int) float64 { return data[i] }
		if raw != nil {
			own := raw
			at = func(i int) float64 { return float64(math.Float32frombits(binary.LittleEndian.Uint32(own[4*i:]))) }
			raw = raw[4*n:]
		}
		for i := range in.F {
			in.F[i] = float32(at(i))
		}
		for i := range in.I {
			in.I[i] = int64(at(i))
		}
	}
	if len(raw) > 0 {
		return statusError{http.StatusBadRequest, fmt.Errorf("%d bytes more than the inputs take", len(raw))}
	}
	if len(req.Inputs) > len(inputs) {
		return statusError{http.StatusBadRequest, fmt.Errorf("%d inputs, the model has %d", len(req.Inputs), len(inputs))}
	}
	return nil
}

// outputs copies the outputs, before another request has the session.
func (s *Server) outputs(session *nnz.Session) (*response, error) {
	r := &response{Outputs: make(map[string]output)}
	for _, v := range s.plan.Outputs() {
		out, err := session.Output(v.Name)
		if err != nil {
			return nil, err
		}
		o := output{Shape: append([]int{}, out.Shape...)}
		if out.I != nil {
			o.Data = append([]int64{}, out.I...)
		} else {
			o.Data = finite(out.F)
		}
		r.Outputs[v.Name] = o
	}
	return r, nil
}

// finite copies numbers for JSON, which has no NaN and no infinities: they are
// null there.
func finite(f []float32) []*float32 {
	out := make([]*float32, len(f))
	values := append([]float32{}, f...)
	for i := range values {
		if values[i]-values[i] == 0 {
			out[i] = &values[i]
		}
	}
	return out
}

// describe lists names and shapes.
func describe(values []nnz.Value) map[string]string {
	all := make(map[string]string)
	for _, v := range values {
		all[v.Name] = fmt.Sprint(v.DType, " ", v.Shape)
	}
	return all
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		log.Printf("an answer was not sent: %v", err)
	}
}
