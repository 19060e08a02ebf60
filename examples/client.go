// A small client for Gradio apps, written from docs/protocol.md and the pages behind it alone: Go 1.19, no packages.
// It speaks ws and sse_v1 to sse_v3: Gradio 3.50, and 4.9 and later. R-… are rules of those pages. (Short branches
// stand in one line, to be read in one go.) Use: go run client.go URL /endpoint '"an argument as JSON"' …
package main

import (
	"bufio"; "bytes"; "errors"; "fmt"; "io"; "os"; "regexp"; "strconv"; "strings"; "sync"; "time"
	"crypto/rand"; "encoding/binary"; "encoding/json"; "net/http"; "net/http/cookiejar"
)

const patience, largest, kept = 60 * time.Second, 64 << 20, 10_000 // of silence; bytes of a message; outputs
type object = map[string]any

// Errors leave functions by panic, up to catch. A job's error begins with its kind: AppError, Cancelled, Stopped, …
func must[T any](value T, err error) T {
	if err != nil { panic(fmt.Errorf("Lost: %w", err)) }
	return value
}

func catch(f func()) (err error) {
	defer func() { err, _ = recover().(error) }(); f()
	return
}
func randomBytes(n int) []byte { data := make([]byte, n); must(rand.Read(data)); return data }

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
	case len(path) == 0 && action == "append": return place.(string) + item.(string)
	case len(path) == 0 && action == "replace": return item
	case isList && resizes && action == "add": return append(list, item) // whatever index the server names (R-edit-1)
	case isList && resizes: return list[:len(list)-1]
	case isList:
		at := int(path[0].(float64)); list[at] = change(list[at], action, path[1:], item)
		return list
	}
	dict, key := place.(object), path[0].(string)
	old, isThere := dict[key]
	if !isThere && action != "add" { panic(errors.New("there is no key " + key)) }
	if !resizes { item = change(old, action, path[1:], item) }
	if dict[key] = item; resizes && action == "delete" { delete(dict, key) }
	return dict
}

var silent = regexp.MustCompile(`^(state|variable|row|column|tab.*|box|form|accordion|group|dataset|interpretation)$`)
var someEdits = regexp.MustCompile(`^\[(\["(replace|append|add|delete)",\[[^{}]*\],.*\])+\]$`)
var literal = regexp.MustCompile(`^('([^\\'\n]|\\.)*'|"([^\\"\n]|\\.)*")$`)
var toGo = strings.NewReplacer(`\\`, `\\`, `\'`, `'`, `\"`, `\"`, `"`, `\"`, `\x`, `\u00`)

// ErrorText is what a failed run says, without the oddities of old servers (R-end-3); false: the app hides it.
func ErrorText(output object, version int) (string, bool) {
	text, isText := output["error"].(string)
	if !isText || text == "None" && version < 4022 { return "the function failed; the app hides its errors", false }
	if literal.MatchString(text) && version < 5002 {
		if plain, err := strconv.Unquote(`"` + toGo.Replace(text[1:len(text)-1]) + `"`); err == nil { return plain, true }
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
				take(data[:len(data)-1]); data = nil
			}
		}
	}
	return lines.Err()
}

type function struct {
	id any; plain, yields bool
	inputs, outputs []bool // for each slot, whether callers see it
}

// Job is one call. Outputs has each yield, and is closed at the end. What is not exported is called with client.mu.
type Job struct {
	Outputs chan any; over chan bool
	client *Client; fn *function; body object
	stop func() // tells the server
	done, started, heard, due, reopened, hides bool // hides: we lost track of its values
	raw []any // the last yield, as sent
	result any; err error
}

func (job *Job) Result() (any, error) { <-job.over; return job.result, job.err }

func (job *Job) Cancel() { // for the caller it is over at once (R-cancel-4)
	job.client.run(func() {
		if job.done { return }
		job.end(nil, errors.New("Cancelled: the job was cancelled")); job.stop()
	})
}

func (job *Job) end(result any, err error) bool {
	if job.done { return true }
	job.done, job.result, job.err = true, result, err
	close(job.Outputs); close(job.over)
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
	case kind == "queue_full": return job.end(nil, errors.New("QueueFull: there is no room in the queue"))
	case kind == "unexpected_error": return job.end(nil, fmt.Errorf("Stopped: %v", message["message"]))
	case kind == "process_completed" && !isGood: return job.end(nil, errors.New("AppError: "+text))
	case kind == "process_completed" && !hasData: return job.end(nil, errors.New("Stopped: the server stopped the job"))
	case kind == "process_completed": return job.end(job.shown(data), nil)
	case kind == "process_generating" && !job.done && !job.hides: job.yield(data, version >= 4017)
	case kind == "process_streaming" && !job.done: job.yield(data, false)
	}
	return false
}

func (job *Job) yield(data []any, edits bool) {
	for at, item := range data {
		var err error
		isOld := edits && job.raw == nil && someEdits.Match(must(json.Marshal(item))) // of another run's yield (R-edit-5)
		if edits && job.raw != nil { data[at], err = ApplyEdits(job.raw[at], item) }
		job.hides = job.hides || isOld || err != nil || len(job.Outputs) == kept // the result is whole again (R-edit-4)
	}
	if job.raw = data; !job.hides { job.Outputs <- job.shown(data) }
}

func (job *Job) shown(data []any) any { // R-data-3
	shown := []any{}
	for at, item := range data {
		if at >= len(job.fn.outputs) || job.fn.outputs[at] { shown = append(shown, item) }
	}
	if len(shown) == 1 { return shown[0] }
	return shown
}

// A session has one stream for all its jobs, 4.9 and later. Its methods are called with client.mu.
type session struct {
	hash string; isOpen bool
	jobs map[string]*Job // open at the server: until process_completed, given up or not (R-cancel-3)
	stopping map[*function]bool
}

func newSession() *session {
	return &session{fmt.Sprintf("%x", randomBytes(8)), false, map[string]*Job{}, map[*function]bool{}}
}

// join keeps client.mu while it asks, so no message is read before its job is known (R-stream-4).
func (s *session) join(c *Client, job *Job) {
	for s.stopping[job.fn] { c.sleep() } // R-cancel-7
	if job.done { return }
	s.jobs[c.post("queue/join", job.body)["event_id"].(string)] = job
	job.stop = func() { s.stopNext(c, job.fn) }
	if s.isOpen { return } // never two at once (R-stream-3)
	s.isOpen = true; go c.run(func() { s.listen(c) })
}

func (s *session) listen(c *Client) {
	for s.isOpen {
		for _, job := range s.jobs { job.due, job.heard = true, false }
		err := c.stream("queue/data?session_hash="+s.hash, func(message object) { s.take(c, message) })
		s.drop(fmt.Errorf("Lost: the stream ended before the job: %v", err), func(job *Job) bool {
			wasOpen := job.reopened; job.reopened = true
			return err != nil || job.heard || wasOpen || job.done // R-end-4, R-end-5
		})
		s.isOpen = len(s.jobs) > 0
		if err != nil && c.shared == s { c.shared = newSession() } // R-session-2
	}
}

func (s *session) drop(why error, isOver func(*Job) bool) {
	for id, job := range s.jobs {
		if !isOver(job) { continue }
		job.end(nil, why); delete(s.jobs, id)
	}
}

func (s *session) take(c *Client, message object) {
	id, _ := message["event_id"].(string)
	switch job := s.jobs[id]; {
	case job != nil:
		if job.heard = true; job.receive(message) { delete(s.jobs, id) }
		s.stopNext(c, job.fn)
	case message["msg"] == "heartbeat": // R-end-6
		s.drop(errors.New("Lost: the server has forgotten the job"), func(job *Job) bool { return job.due && !job.heard })
	case message["msg"] == "unexpected_error" && id == "": // R-end-7; if it is too early: listen again, once (R-stream-1)
		text := fmt.Sprint(message["message"])
		isEarly := message["session_not_found"] == true || strings.HasPrefix(text, "404")
		s.drop(errors.New("Stopped: "+text), func(job *Job) bool { return !isEarly || job.heard || job.reopened })
	}
}

// stopNext has the server stop the next job that was given up, if that can hit no other one.
func (s *session) stopNext(c *Client, fn *function) {
	next := ""
	for id, job := range s.jobs {
		if job.fn == fn && !job.done { return } // R-cancel-1
		if job.fn != fn || !job.started && c.version < 6014 { continue }
		if next == "" || !job.started { next = id } // those that wait come first (R-cancel-6)
	}
	if next == "" || s.stopping[fn] { return }
	s.stopping[fn] = true
	go c.run(func() {
		path := map[bool]string{true: "reset", false: "cancel"}[c.version < 4031]
		body := object{"session_hash": s.hash, "fn_index": fn.id, "event_id": next}
		c.away(func() { catch(func() { c.post(path, body) }) })
		for i := 0; i < 200 && path == "cancel" && s.jobs[next] != nil; i++ { c.sleep() } // R-cancel-3
		delete(s.jobs, next); delete(s.stopping, fn)
		s.stopNext(c, fn) // one at a time (R-cancel-2)
	})
}

// webSocket runs a job on a socket of its own, 3.50.
func (c *Client) webSocket(job *Job) {
	conn := c.send("GET", "queue/join", nil, "Connection", "Upgrade", "Upgrade", "websocket",
		"Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "Z3JhZGlvIGluIGdvLi4uLg==").Body.(io.ReadWriteCloser)
	defer conn.Close(); job.stop = func() { conn.Close() } // R-ws-9
	say := func(opcode byte, data []byte) {
		size, key := binary.BigEndian.AppendUint64(nil, uint64(len(data))), randomBytes(4)
		frame := append([]byte{0x80 | opcode, 0xff}, size...)
		if len(data) < 1<<16 { frame = append([]byte{0x80 | opcode, 0xfe}, size[6:]...) }
		if len(data) < 126 { frame = []byte{0x80 | opcode, 0x80 | size[7]} }
		frame = append(frame, key...)
		for at := range data { frame = append(frame, data[at]^key[at%4]) }
		must(conn.Write(frame))
	}
	for whole := []byte(nil); !job.done; {
		head, part, message := make([]byte, 10), []byte(nil), object{}
		c.away(func() {
			defer time.AfterFunc(patience, func() { conn.Close() }).Stop() // pings count as life (R-ws-6)
			must(io.ReadFull(conn, head[:2]))
			length := uint64(head[1])
			if size := map[uint64]int{126: 2, 127: 8}[length]; size > 0 {
				must(io.ReadFull(conn, head[10-size:]))
				length = binary.BigEndian.Uint64(head[2:])
			}
			if length+uint64(len(whole)) > largest { panic(errors.New("Lost: a message is too large (R-ws-7)")) }
			part = make([]byte, length)
			must(io.ReadFull(conn, part))
		})
		switch opcode := head[0] & 15; {
		case opcode == 8: // R-ws-5, R-ws-8
			say(8, part)
			kind := map[bool]string{true: "Stopped", false: "Lost"}[bytes.HasPrefix(part, []byte{3, 232})]
			job.end(nil, errors.New(kind+": the server closed the job's connection"))
		case opcode == 9: say(10, part)
		case opcode < 3: whole = append(whole, part...)
		}
		if head[0]&0x88 != 0x80 { continue } // more of the message is to come, or it was none
		json.Unmarshal(whole, &message)
		hash := object{"fn_index": job.fn.id, "session_hash": job.body["session_hash"]}
		answer := map[any]object{"send_hash": hash, "send_data": job.body}[message["msg"]] // R-ws-2
		if whole = nil; answer != nil { say(1, must(json.Marshal(answer))) } else { job.receive(message) }
	}
}

// Client is an app. Its version is 6031 for 6.31.
type Client struct {
	mu sync.Mutex; http http.Client; base string; version int
	functions map[string]*function; shared *session
}

func (c *Client) run(f func()) error { c.mu.Lock(); defer c.mu.Unlock(); return catch(f) }
func (c *Client) away(f func())      { c.mu.Unlock(); defer c.mu.Lock(); f() }
func (c *Client) sleep()             { c.away(func() { time.Sleep(50 * time.Millisecond) }) }

func (c *Client) send(method, path string, with io.Reader, headers ...string) *http.Response {
	request := must(http.NewRequest(method, c.base+path, with))
	request.Header.Set("Content-Type", "application/json")
	for at := 0; at < len(headers); at += 2 { request.Header.Set(headers[at], headers[at+1]) }
	answer := must(c.http.Do(request))
	if answer.StatusCode == 200 || answer.StatusCode == 101 { return answer }
	defer c.http.CloseIdleConnections() // R-refuse-3
	body, said := must(io.ReadAll(io.LimitReader(answer.Body, 1<<20))), object{}
	json.Unmarshal(body, &said)
	text, _ := ErrorText(said, c.version)
	if _, isFailure := said["error"]; isFailure { panic(errors.New("AppError: " + text)) }
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

func (c *Client) stream(path string, take func(object)) (err error) {
	c.mu.Unlock(); defer c.mu.Lock()
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
	rules := &http.Transport{IdleConnTimeout: 4 * time.Second, ResponseHeaderTimeout: patience} // R-http-1, R-http-3
	c = &Client{http: http.Client{Jar: jar, Transport: rules}, base: strings.TrimRight(address, "/") + "/"}
	c.functions, c.shared = map[string]*function{}, newSession()
	return c, catch(func() {
		config := read(c.send("GET", "config", nil))
		var major, minor int; fmt.Sscanf(config["version"].(string), "%d.%d", &major, &minor)
		prefix, _ := config["api_prefix"].(string)
		c.version, c.base = 1000*major+minor, c.base+strings.TrimLeft(strings.Trim(prefix, "/")+"/", "/") // R-config-2
		isSeen := map[any]bool{}
		for _, each := range config["components"].([]any) {
			part := each.(object)
			isHidden, isTold := part["skip_api"].(bool)
			isSeen[part["id"]] = !isHidden && (isTold || !silent.MatchString(part["type"].(string)))
		}
		slots := func(ids any) (seen []bool) {
			for _, id := range ids.([]any) { seen = append(seen, isSeen[id]) }
			return
		}
		for at, each := range config["dependencies"].([]any) {
			told := each.(object)
			types, _ := told["types"].(object)
			name, isNamed := told["api_name"].(string)
			if !isNamed || c.functions[name] != nil || told["backend_fn"] == false { continue } // R-config-4, R-config-5
			fn := &function{told["id"], false, types["generator"] == true, slots(told["inputs"]), slots(told["outputs"])}
			if fn.id == nil { fn.id = at } // R-config-3
			fn.plain = told["queue"] == false || told["queue"] == nil && config["enable_queue"] != true && c.version < 4000
			c.functions[name] = fn
		}
	})
}

// Submit starts a call; a mistake in it is an error of Result, too.
func (c *Client) Submit(name string, args ...any) *Job {
	job := &Job{client: c, Outputs: make(chan any, kept), over: make(chan bool), stop: func() {}}
	go c.run(func() {
		fn := c.functions[strings.TrimPrefix(name, "/")]
		if err := catch(func() { c.start(job, fn, args) }); err != nil { job.end(nil, err) }
	})
	return job
}

func (c *Client) start(job *Job, fn *function, args []any) {
	if fn == nil { panic(errors.New("Refused: there is no such function")) }
	data, session := make([]any, len(fn.inputs)), c.shared
	for at, isSeen := range fn.inputs { // R-data-1, R-data-2
		if isSeen && len(args) == 0 { panic(errors.New("Refused: too few arguments")) }
		if isSeen { data[at], args = args[0], args[1:] }
	}
	if len(args) > 0 { panic(errors.New("Refused: too many arguments")) }
	if c.version < 4000 && fn.yields { session = newSession() } // R-ws-10
	job.fn, job.body = fn, object{"data": data, "fn_index": fn.id, "session_hash": session.hash, "event_data": nil}
	if !fn.plain && c.version < 4000 {
		c.webSocket(job)
	} else if !fn.plain || fn.yields { // R-config-6
		session.join(c, job)
	} else {
		message := object{"msg": "process_completed", "success": true}
		c.away(func() { message["output"] = c.post("api/predict", job.body) })
		job.receive(message)
	}
}

func main() {
	err := catch(func() {
		client, args := must(Connect(os.Args[1])), []any{}
		for _, text := range os.Args[3:] { args = append(args, json.RawMessage(text)) }
		job := client.Submit(os.Args[2], args...)
		for output := range job.Outputs { fmt.Println(string(must(json.Marshal(output)))) }
		result, err := job.Result(); if err != nil { panic(err) }
		fmt.Println(string(must(json.Marshal(result))))
	})
	if err != nil { fmt.Fprintln(os.Stderr, err); os.Exit(1) }
}
