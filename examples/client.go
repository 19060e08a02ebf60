// A small client for Gradio apps, written from docs/protocol.md and the pages behind it alone: Go 1.19, no packages.
// It speaks ws and sse_v1 to sse_v3: Gradio 3.50, and 4.9 and later. R-… are rules of those pages.
// Use: go run client.go URL /endpoint '"an argument as JSON"' …
package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	patience = 60 * time.Second // with a server that says nothing (R-http-3)
	largest  = 64 << 20         // bytes of a message
	kept     = 10_000           // outputs of a job that nobody reads (R-stream-8)
)

type object = map[string]any

// Errors leave functions by panic, up to catch. A job's error begins with its kind: AppError, Cancelled, Stopped, …
func must[T any](value T, err error) T {
	if err != nil {
		panic(fmt.Errorf("Lost: %w", err))
	}
	return value
}

func catch(f func()) (err error) {
	defer func() { err, _ = recover().(error) }()
	f()
	return
}

func randomBytes(n int) []byte {
	data := make([]byte, n)
	must(rand.Read(data))
	return data
}

// ApplyEdits returns the value after the edits, and leaves the value as it is; an error: they do not fit.
func ApplyEdits(value any, edits any) (result any, err error) {
	json.Unmarshal(must(json.Marshal(value)), &result)
	err = catch(func() {
		for _, each := range edits.([]any) {
			edit := each.([]any)
			result = change(result, edit[0].(string), edit[1].([]any), edit[2])
		}
	})
	return
}

func change(place any, action string, path []any, item any) any {
	resizes := len(path) == 1 && (action == "add" || action == "delete")
	switch list, isList := place.([]any); {
	case len(path) == 0 && action == "append":
		return place.(string) + item.(string)
	case len(path) == 0 && action == "replace":
		return item
	case isList && resizes && action == "add":
		return append(list, item) // whatever index the server names (R-edit-1)
	case isList && resizes:
		return list[:len(list)-1]
	case isList:
		at := int(path[0].(float64))
		list[at] = change(list[at], action, path[1:], item)
		return list
	}
	dict, key := place.(object), path[0].(string)
	old, isThere := dict[key]
	if !isThere && action != "add" {
		panic(errors.New("there is no key " + key))
	}
	switch {
	case !resizes:
		dict[key] = change(old, action, path[1:], item)
	case action == "add":
		dict[key] = item
	default:
		delete(dict, key)
	}
	return dict
}

var (
	someEdits = regexp.MustCompile(`^\[(\["(replace|append|add|delete)",\[[^{}]*\],.*\])+\]$`)

	// A string as Python writes it, and what makes one of Go of it.
	literal = regexp.MustCompile(`^('([^\\'\n]|\\.)*'|"([^\\"\n]|\\.)*")$`)
	toGo    = strings.NewReplacer(`\\`, `\\`, `\'`, `'`, `\"`, `\"`, `"`, `\"`, `\x`, `\u00`)

	// Components of 3.x that callers do not see.
	silent = regexp.MustCompile(
		`^(state|variable|row|column|tab.*|box|form|accordion|group|dataset|interpretation)$`)
)

// ErrorText is what a failed run says, without the oddities of old servers (R-end-3); false: the app hides it.
func ErrorText(output object, version int) (string, bool) {
	text, isText := output["error"].(string)
	if !isText || text == "None" && version < 4022 {
		return "the function failed; the app hides its errors", false
	}
	if literal.MatchString(text) && version < 5002 {
		if plain, err := strconv.Unquote(`"` + toGo.Replace(text[1:len(text)-1]) + `"`); err == nil {
			return plain, true
		}
	}
	return text, true
}

// Events hands the data of each event of a stream to take; nil: the end was a clean one (R-stream-6, R-end-4).
func Events(body io.Reader, take func(data []byte)) error {
	lines, data := bufio.NewScanner(body), []byte(nil)
	lines.Buffer(nil, largest)
	for mark := []byte("\ufeff"); lines.Scan(); mark = nil {
		for _, line := range bytes.Split(bytes.TrimPrefix(lines.Bytes(), mark), []byte("\r")) {
			if rest := bytes.TrimPrefix(line, []byte("data:")); len(rest) < len(line) && len(data) < largest {
				data = append(append(data, bytes.TrimPrefix(rest, []byte(" "))...), '\n')
			} else if len(line) == 0 && len(data) > 0 {
				take(data[:len(data)-1])
				data = nil
			}
		}
	}
	return lines.Err()
}

type function struct {
	id      any
	plain   bool // past the queue
	yields  bool
	inputs  []bool // for each slot, whether callers see it
	outputs []bool
}

// Job is one call. Outputs has each yield, and is closed at the end. What is not exported is called with client.mu.
type Job struct {
	Outputs chan any

	client *Client
	fn     *function
	body   object
	stop   func() // tells the server
	over   chan bool

	done     bool  // for the caller
	started  bool  // the server has said that it runs
	heard    bool  // a message of it came on this stream
	due      bool  // it had joined before this stream
	reopened bool  // it waits on a second stream
	hides    bool  // we lost track of its values
	raw      []any // the last yield, as sent
	values   []any // the last values: those of raw, but for updates
	result   any
	err      error
}

// Result waits for the end of the job.
func (job *Job) Result() (any, error) {
	<-job.over
	return job.result, job.err
}

// Cancel ends the job: for the caller at once (R-cancel-4), at the server as soon as that hits no other one.
func (job *Job) Cancel() {
	job.client.run(func() {
		if job.done {
			return
		}
		job.end(nil, errors.New("Cancelled: the job was cancelled"))
		job.stop()
	})
}

func (job *Job) end(result any, err error) bool {
	if job.done {
		return true
	}
	job.done, job.result, job.err = true, result, err
	close(job.Outputs)
	close(job.over)
	return true
}

// receive takes a message; true: it was the job's last one at the server.
func (job *Job) receive(message object) bool {
	output, _ := message["output"].(object)
	data, hasData := output["data"].([]any)
	kind, isGood, version := message["msg"], message["success"] == true, job.client.version
	text, _ := ErrorText(output, version)
	job.started = job.started || kind != "estimation"
	switch {
	case kind == "queue_full":
		return job.end(nil, errors.New("QueueFull: there is no room in the queue"))
	case kind == "unexpected_error":
		return job.end(nil, fmt.Errorf("Stopped: %v", message["message"]))
	case kind == "process_completed" && !isGood:
		return job.end(nil, errors.New("AppError: "+text))
	case kind == "process_completed" && !hasData:
		return job.end(nil, errors.New("Stopped: the server stopped the job"))
	case kind == "process_completed":
		return job.end(job.shown(data), nil)
	case kind == "process_generating" && !job.done && !job.hides:
		job.yield(data, version >= 4017)
	case kind == "process_streaming" && !job.done:
		job.yield(data, false)
	}
	return false
}

func (job *Job) yield(data []any, edits bool) {
	for at, item := range data {
		switch {
		case edits && job.raw != nil:
			whole, err := ApplyEdits(job.raw[at], item)
			data[at] = whole
			job.hides = job.hides || err != nil // the result is whole again (R-edit-4)
		case edits && someEdits.Match(must(json.Marshal(item))): // of another run's yield (R-edit-5)
			edit := item.([]any)[0].([]any)
			if edit[0] == "replace" && len(edit[1].([]any)) == 0 { // which needs no base
				data[at], _ = ApplyEdits(nil, item)
			} else {
				job.hides = true
			}
		}
	}
	job.raw = data
	job.hides = job.hides || len(job.Outputs) == kept
	if !job.hides {
		job.Outputs <- job.shown(data)
	}
}

// shown is what the caller gets: the one output, or a list of several (R-data-3).
func (job *Job) shown(data []any) any {
	shown, values := []any{}, make([]any, len(data))
	for at, item := range data {
		if update, _ := item.(object); update["__type__"] == "update" { // R-data-5
			value, isNew := update["value"]
			if !isNew && at < len(job.values) {
				value = job.values[at]
			}
			item = value
		}
		values[at] = item
		if at >= len(job.fn.outputs) || job.fn.outputs[at] {
			shown = append(shown, item)
		}
	}
	job.values = values
	if len(shown) == 1 {
		return shown[0]
	}
	return shown
}

// A session has one stream for all its jobs, 4.9 and later. Its methods are called with client.mu.
type session struct {
	hash     string
	isOpen   bool
	jobs     map[string]*Job // open at the server: until process_completed, given up or not (R-cancel-3)
	stopping map[*function]bool
}

func newSession() *session {
	hash := fmt.Sprintf("%x", randomBytes(8))
	return &session{hash: hash, jobs: map[string]*Job{}, stopping: map[*function]bool{}}
}

// join keeps client.mu while it asks, so no message is read before its job is known (R-stream-4).
func (s *session) join(c *Client, job *Job) {
	for s.stopping[job.fn] { // R-cancel-7
		c.sleep()
	}
	if job.done {
		return
	}
	s.jobs[c.post("queue/join", job.body)["event_id"].(string)] = job
	job.stop = func() { s.stopNext(c, job.fn) }
	if !s.isOpen { // never two at once (R-stream-3)
		s.isOpen = true
		go c.run(func() { s.listen(c) })
	}
}

// listen reads one stream after the other, for as long as jobs are open.
func (s *session) listen(c *Client) {
	for s.isOpen {
		for _, job := range s.jobs {
			job.due, job.heard = true, false
		}
		err := c.stream("queue/data?session_hash="+s.hash, func(message object) { s.take(c, message) })
		s.drop(fmt.Errorf("Lost: the stream ended before the job: %v", err), func(job *Job) bool {
			wasOpen := job.reopened
			job.reopened = true
			return err != nil || job.heard || wasOpen || job.done // R-end-4, R-end-5
		})
		s.isOpen = len(s.jobs) > 0
		if err != nil && c.shared == s { // R-session-2
			c.shared = newSession()
		}
	}
}

// drop gives up the jobs for which isOver says true.
func (s *session) drop(why error, isOver func(*Job) bool) {
	for id, job := range s.jobs {
		if isOver(job) {
			job.end(nil, why)
			delete(s.jobs, id)
		}
	}
}

// take takes a message of the stream.
func (s *session) take(c *Client, message object) {
	id, _ := message["event_id"].(string)
	switch job := s.jobs[id]; {
	case job != nil:
		job.heard = true
		if job.receive(message) {
			delete(s.jobs, id)
		}
		s.stopNext(c, job.fn)
	case message["msg"] == "heartbeat": // R-end-6
		s.drop(errors.New("Lost: the server has forgotten the job"), func(job *Job) bool {
			return job.due && !job.heard
		})
	case message["msg"] == "unexpected_error" && id == "": // R-end-7
		text := fmt.Sprint(message["message"])
		isEarly := message["session_not_found"] == true || strings.HasPrefix(text, "404")
		s.drop(errors.New("Stopped: "+text), func(job *Job) bool {
			return !isEarly || job.heard || job.reopened // if it was early: listen again, once (R-stream-1)
		})
	}
}

// stopNext has the server stop the next job that was given up, if that can hit no other one.
func (s *session) stopNext(c *Client, fn *function) {
	next := ""
	for id, job := range s.jobs {
		switch {
		case job.fn != fn:
		case !job.done: // its caller wants it (R-cancel-1)
			return
		case !job.started && c.version < 6014: // not while it waits
		case next == "" || !job.started: // those that wait come first (R-cancel-6)
			next = id
		}
	}
	if next == "" || s.stopping[fn] {
		return
	}
	s.stopping[fn] = true
	go c.run(func() {
		path := "cancel"
		if c.version < 4031 {
			path = "reset"
		}
		body := object{"session_hash": s.hash, "fn_index": fn.id, "event_id": next}
		c.away(func() { catch(func() { c.post(path, body) }) })
		for i := 0; i < 200 && path == "cancel" && s.jobs[next] != nil; i++ { // R-cancel-3
			c.sleep()
		}
		delete(s.jobs, next)
		delete(s.stopping, fn)
		s.stopNext(c, fn) // one at a time (R-cancel-2)
	})
}

// webSocket runs a job on a socket of its own, 3.50.
func (c *Client) webSocket(job *Job) {
	answer := c.send("GET", "queue/join", nil, "Connection", "Upgrade", "Upgrade", "websocket",
		"Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "Z3JhZGlvIGluIGdvLi4uLg==")
	conn := answer.Body.(io.ReadWriteCloser)
	defer conn.Close()
	job.stop = func() { conn.Close() } // R-ws-9
	var whole []byte
	for !job.done {
		var head byte
		var part []byte
		c.away(func() { head, part = readFrame(conn, largest-len(whole)) })
		switch opcode := head & 15; {
		case opcode == opClose: // R-ws-5, R-ws-8
			sendFrame(conn, opClose, part)
			kind := "Lost"
			if bytes.HasPrefix(part, []byte{3, 232}) { // 1000
				kind = "Stopped"
			}
			job.end(nil, errors.New(kind+": the server closed the job's connection"))
		case opcode == opPing:
			sendFrame(conn, opPong, part)
		case opcode <= opText:
			whole = append(whole, part...)
		}
		if head&0x88 != 0x80 { // more of the message is to come, or it was none
			continue
		}
		message := object{}
		json.Unmarshal(whole, &message)
		whole = nil
		switch message["msg"] { // R-ws-2
		case "send_hash":
			hash := object{"fn_index": job.fn.id, "session_hash": job.body["session_hash"]}
			sendFrame(conn, opText, must(json.Marshal(hash)))
		case "send_data":
			sendFrame(conn, opText, must(json.Marshal(job.body)))
		default:
			job.receive(message)
		}
	}
}

const (
	opText  = 1
	opClose = 8
	opPing  = 9
	opPong  = 10
)

// readFrame reads a frame of a WebSocket: its first byte, and what it carries.
func readFrame(conn io.ReadCloser, room int) (head byte, part []byte) {
	defer time.AfterFunc(patience, func() { conn.Close() }).Stop() // pings count as life (R-ws-6)
	start := make([]byte, 2)
	must(io.ReadFull(conn, start))
	length := uint64(start[1])
	size := make([]byte, 8)
	switch length {
	case 126:
		must(io.ReadFull(conn, size[6:]))
		length = binary.BigEndian.Uint64(size)
	case 127:
		must(io.ReadFull(conn, size))
		length = binary.BigEndian.Uint64(size)
	}
	if length > uint64(room) {
		panic(errors.New("Lost: a message is too large (R-ws-7)"))
	}
	part = make([]byte, length)
	must(io.ReadFull(conn, part))
	return start[0], part
}

// sendFrame sends a message as one frame, masked as a client must.
func sendFrame(conn io.Writer, opcode byte, data []byte) {
	frame := []byte{0x80 | opcode}
	switch length := len(data); {
	case length < 126:
		frame = append(frame, 0x80|byte(length))
	case length < 1<<16:
		frame = binary.BigEndian.AppendUint16(append(frame, 0x80|126), uint16(length))
	default:
		frame = binary.BigEndian.AppendUint64(append(frame, 0x80|127), uint64(length))
	}
	key := randomBytes(4)
	frame = append(frame, key...)
	for at := range data {
		frame = append(frame, data[at]^key[at%4])
	}
	must(conn.Write(frame))
}

// Client is an app. Its version is 6031 for 6.31.
type Client struct {
	mu        sync.Mutex
	http      http.Client
	plain     http.Client // past the queue: an answer takes as long as the function
	base      string
	version   int
	functions map[string]*function
	shared    *session
}

// run runs f with the lock, away without it.
func (c *Client) run(f func()) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return catch(f)
}

func (c *Client) away(f func()) {
	c.mu.Unlock()
	defer c.mu.Lock()
	f()
}

func (c *Client) sleep() {
	c.away(func() { time.Sleep(50 * time.Millisecond) })
}

// send sends one request; an answer that is none is a panic.
func (c *Client) send(method, path string, with io.Reader, headers ...string) *http.Response {
	request := must(http.NewRequest(method, c.base+path, with))
	request.Header.Set("Content-Type", "application/json")
	for at := 0; at < len(headers); at += 2 {
		request.Header.Set(headers[at], headers[at+1])
	}
	client := &c.http
	if path == "api/predict" {
		client = &c.plain
	}
	answer := must(client.Do(request))
	if answer.StatusCode == 200 || answer.StatusCode == 101 {
		return answer
	}
	defer client.CloseIdleConnections() // R-refuse-3
	body, said := must(io.ReadAll(io.LimitReader(answer.Body, 1<<20))), object{}
	json.Unmarshal(body, &said)
	text, _ := ErrorText(said, c.version)
	if _, isFailure := said["error"]; isFailure {
		panic(errors.New("AppError: " + text))
	}
	panic(fmt.Errorf("Refused: %d %.300q", answer.StatusCode, body))
}

func read(answer *http.Response) (found object) {
	defer answer.Body.Close()
	must(0, json.NewDecoder(answer.Body).Decode(&found))
	return
}

func (c *Client) post(path string, body object) object {
	return read(c.send("POST", path, bytes.NewReader(must(json.Marshal(body)))))
}

// stream reads an event stream to its end; nil: a clean one.
func (c *Client) stream(path string, take func(object)) (err error) {
	c.mu.Unlock()
	defer c.mu.Lock()
	return catch(func() {
		answer := c.send("GET", path, nil)
		silence := time.AfterFunc(patience, func() { answer.Body.Close() }) // R-stream-7
		must(0, Events(answer.Body, func(data []byte) {
			message := object{}
			json.Unmarshal(data, &message)
			c.run(func() { take(message) })
			silence.Reset(patience)
		}))
	})
}

// Connect reads the config of the app whose page has this address.
func Connect(address string) (c *Client, err error) {
	jar, _ := cookiejar.New(nil) // R-config-7
	transport := &http.Transport{
		IdleConnTimeout:       4 * time.Second, // R-http-1
		ResponseHeaderTimeout: patience,        // R-http-3
	}
	patient := transport.Clone()
	patient.ResponseHeaderTimeout = 0
	c = &Client{
		http:      http.Client{Jar: jar, Transport: transport},
		plain:     http.Client{Jar: jar, Transport: patient},
		base:      strings.TrimRight(address, "/") + "/",
		functions: map[string]*function{},
		shared:    newSession(),
	}
	return c, catch(func() { c.learn(read(c.send("GET", "config", nil))) })
}

func (c *Client) learn(config object) {
	var major, minor int
	fmt.Sscanf(config["version"].(string), "%d.%d", &major, &minor)
	c.version = 1000*major + minor
	prefix, _ := config["api_prefix"].(string)
	c.base += strings.TrimLeft(strings.Trim(prefix, "/")+"/", "/") // R-config-2
	isSeen := map[any]bool{}
	for _, each := range config["components"].([]any) {
		part := each.(object)
		isHidden, isTold := part["skip_api"].(bool)
		isSeen[part["id"]] = !isHidden && (isTold || !silent.MatchString(part["type"].(string)))
	}
	slots := func(ids any) (seen []bool) {
		for _, id := range ids.([]any) {
			seen = append(seen, isSeen[id])
		}
		return
	}
	for at, each := range config["dependencies"].([]any) {
		told := each.(object)
		types, _ := told["types"].(object)
		name, isNamed := told["api_name"].(string)
		if !isNamed || c.functions[name] != nil || told["backend_fn"] == false { // R-config-4, R-config-5
			continue
		}
		fn := &function{
			id:      told["id"],
			plain:   told["queue"] == false,
			yields:  types["generator"] == true,
			inputs:  slots(told["inputs"]),
			outputs: slots(told["outputs"]),
		}
		if fn.id == nil { // R-config-3
			fn.id = at
		}
		if told["queue"] == nil && c.version < 4000 {
			fn.plain = config["enable_queue"] != true
		}
		c.functions[name] = fn
	}
}

// Submit starts a call; a mistake in it is an error of Result, too.
func (c *Client) Submit(name string, args ...any) *Job {
	job := &Job{client: c, Outputs: make(chan any, kept), over: make(chan bool), stop: func() {}}
	go c.run(func() {
		fn := c.functions[strings.TrimPrefix(name, "/")]
		if err := catch(func() { c.start(job, fn, args) }); err != nil {
			job.end(nil, err)
		}
	})
	return job
}

// start checks the arguments, and goes the way that the function takes.
func (c *Client) start(job *Job, fn *function, args []any) {
	if fn == nil {
		panic(errors.New("Refused: there is no such function"))
	}
	data, session := make([]any, len(fn.inputs)), c.shared
	for at, isSeen := range fn.inputs { // R-data-1, R-data-2
		if isSeen && len(args) == 0 {
			panic(errors.New("Refused: too few arguments"))
		}
		if isSeen {
			data[at], args = args[0], args[1:]
		}
	}
	if len(args) > 0 {
		panic(errors.New("Refused: too many arguments"))
	}
	if c.version < 4000 && fn.yields { // R-ws-10
		session = newSession()
	}
	job.fn = fn
	job.body = object{"data": data, "fn_index": fn.id, "session_hash": session.hash, "event_data": nil}
	if !fn.plain && c.version < 4000 {
		c.webSocket(job)
	} else if !fn.plain || fn.yields && c.version >= 4000 { // R-config-6
		session.join(c, job)
	} else {
		var output, last object
		for !job.done {
			c.away(func() { output = c.post("api/predict", job.body) })
			message := object{"msg": "process_generating", "success": true, "output": output}
			if isOver := output["is_generating"] != true || c.version >= 4000; isOver {
				if message["msg"] = "process_completed"; last != nil { // R-plain-5
					message["output"] = last
				}
			}
			last = output
			job.receive(message)
		}
	}
}

func main() {
	err := catch(func() {
		client, args := must(Connect(os.Args[1])), []any{}
		for _, text := range os.Args[3:] {
			args = append(args, json.RawMessage(text))
		}
		job := client.Submit(os.Args[2], args...)
		for output := range job.Outputs {
			fmt.Println(string(must(json.Marshal(output))))
		}
		result, err := job.Result()
		if err != nil {
			panic(err)
		}
		fmt.Println(string(must(json.Marshal(result))))
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
