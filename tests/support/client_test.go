// Tests of examples/client.go: copy both files into one folder, then go test. Environment:
// VECTORS: the folder docs/vectors. LIVELY, REAL: addresses of sansio_gradio/testing/lively_app.py and tests/real/apps/main.py.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// ---- Vectors

func vectors(t *testing.T, name string) []object {
	var cases []object
	text, err := os.ReadFile(os.Getenv("VECTORS") + "/" + name + ".json")
	if err != nil {
		t.Skip("VECTORS names no folder with ", name)
	}
	if err := json.Unmarshal(text, &cases); err != nil || len(cases) == 0 {
		t.Fatal(name, err)
	}
	return cases
}

func wantEqual(t *testing.T, found, wanted any, what ...any) {
	t.Helper()
	if !reflect.DeepEqual(found, wanted) {
		t.Fatalf("%v: found %v, not %v", what, found, wanted)
	}
}

func versionOf(text any) int {
	var major, minor int
	fmt.Sscanf(text.(string), "%d.%d", &major, &minor)
	return 1000*major + minor
}

func TestEdits(t *testing.T) {
	for _, each := range vectors(t, "edits") {
		before, _ := json.Marshal(each["before"])
		after, err := ApplyEdits(each["before"], each["edits"])
		if each["fits"] == false {
			wantEqual(t, err != nil, true, each["name"])
		} else {
			wantEqual(t, err, nil, each["name"])
			wantEqual(t, after, each["after"], each["name"])
		}
		left, _ := json.Marshal(each["before"])
		wantEqual(t, string(left), string(before), each["name"])
	}
}

func TestErrorTexts(t *testing.T) {
	for _, each := range vectors(t, "error_texts") {
		text, isShown := ErrorText(each["output"].(object), versionOf(each["version"]))
		if wanted, ok := each["text"].(string); ok {
			wantEqual(t, text, wanted, each)
		}
		wantEqual(t, isShown, each["text"] != nil, each)
	}
}

func TestStreams(t *testing.T) {
	for _, each := range vectors(t, "streams") {
		text := each["text"].(string)
		cuts, _ := each["cuts"].([]any)
		var parts []io.Reader
		from := 0
		for _, cut := range append(cuts, float64(len(text))) {
			if to := int(cut.(float64)); to > from && to <= len(text) {
				parts = append(parts, strings.NewReader(text[from:to]))
				from = to
			}
		}
		for _, body := range []io.Reader{io.MultiReader(parts...), iotest.OneByteReader(strings.NewReader(text))} {
			found := []any{}
			err := Events(body, func(data []byte) {
				var message any
				wantEqual(t, json.Unmarshal(data, &message), nil, each["name"])
				found = append(found, message)
			})
			wantEqual(t, err, nil, each["name"])
			wantEqual(t, any(found), each["messages"], each["name"])
		}
	}
	broken := iotest.ErrReader(io.ErrUnexpectedEOF)
	wantEqual(t, Events(broken, func([]byte) {}), io.ErrUnexpectedEOF, "a break is no clean end")
}

// listener is a client without a server, for jobs that a test hands messages.
func listener(version any) *Client { return &Client{version: versionOf(version), shared: newSession()} }

func (c *Client) job() *Job {
	return &Job{client: c, fn: &function{}, Outputs: make(chan any, kept), over: make(chan bool), stop: func() {}}
}

func wantJob(t *testing.T, job *Job, yields []any, result any, kind string, name any) {
	t.Helper()
	if !job.done {
		t.Fatal(name, "is not over")
	}
	like := listener("6.31.0").job() // the vectors have updates as they were sent; TestUpdates has what they give
	for _, wanted := range yields {
		wantEqual(t, <-job.Outputs, like.shown(wanted.([]any)), name)
	}
	_, more := <-job.Outputs
	wantEqual(t, more, false, name, "more yields")
	if found, err := job.Result(); kind != "" {
		wantEqual(t, strings.HasPrefix(fmt.Sprint(err), kind+": "), true, name, err)
	} else {
		wantEqual(t, err, nil, name)
		wantEqual(t, found, like.shown(result.([]any)), name)
	}
}

func TestYields(t *testing.T) {
	for _, each := range vectors(t, "yields") {
		job := listener(each["version"]).job()
		for _, data := range each["yields"].([]any) {
			job.receive(object{"msg": "process_generating", "output": object{"data": data}, "success": true})
		}
		job.receive(object{"msg": "process_completed", "output": object{"data": each["result"]}, "success": true})
		wantJob(t, job, each["values"].([]any), each["result"], "", each["name"])
	}
}

func TestUpdates(t *testing.T) {
	for _, each := range vectors(t, "updates") {
		job := listener("6.31.0").job()
		job.values = []any{each["before"]}
		wantEqual(t, job.shown([]any{each["item"]}), each["value"], each["name"])
	}
}

func TestRecordings(t *testing.T) {
	kinds := map[any]string{"completed": "", "failed": "AppError", "cancelled": "Stopped", "queue_full": "QueueFull"}
	for _, each := range vectors(t, "recordings") {
		client := listener(each["version"])
		jobs := map[any]*Job{}
		for _, told := range each["jobs"].([]any) {
			id, _ := told.(object)["event_id"].(string)
			jobs[id] = client.job()
			client.shared.jobs[id] = jobs[id]
		}
		var take func(data []byte)
		if texts, isSocket := each["texts"].([]any); isSocket {
			take = func(data []byte) {
				message := object{}
				json.Unmarshal(data, &message)
				jobs[""].receive(message)
			}
			for _, text := range texts {
				take([]byte(text.(string)))
			}
			if each["close"] == 1000.0 {
				jobs[""].end(nil, errors.New("Stopped: as webSocket says"))
			}
		} else {
			body := iotest.HalfReader(strings.NewReader(each["stream"].(string)))
			wantEqual(t, Events(body, func(data []byte) {
				message := object{}
				json.Unmarshal(data, &message)
				client.shared.take(client, message)
			}), nil, each["name"])
		}
		for _, told := range each["jobs"].([]any) {
			told := told.(object)
			id, _ := told["event_id"].(string)
			wantJob(t, jobs[id], told["yields"].([]any), told["result"], kinds[told["end"]], each["name"])
		}
	}
}

// ---- Scenarios

func connect(t *testing.T, variable string) *Client {
	address := os.Getenv(variable)
	if address == "" {
		t.Skip(variable + " names no app")
	}
	client, err := Connect(address)
	wantEqual(t, err, nil, address)
	return client
}

func (c *Client) want(t *testing.T, wanted any, name string, args ...any) {
	t.Helper()
	found, err := c.Submit(name, args...).Result()
	wantEqual(t, err, nil, name)
	wantEqual(t, found, wanted, name)
}

func wantError(t *testing.T, job *Job, wanted string) {
	t.Helper()
	if _, err := job.Result(); err == nil || !strings.HasPrefix(err.Error(), wanted) {
		t.Fatalf("found %v, not %v", err, wanted)
	}
}

func wantOutputs(t *testing.T, job *Job, wanted ...any) {
	t.Helper()
	for _, each := range wanted {
		wantEqual(t, <-job.Outputs, each)
	}
	_, more := <-job.Outputs
	wantEqual(t, more, false, "more outputs")
}

func TestLively(t *testing.T) {
	client := connect(t, "LIVELY")
	client.want(t, "häßlich 漢字 \U0001F600", "/echo", "häßlich 漢字 \U0001F600")
	client.want(t, []any{"b", "a"}, "pair", "a", "b")
	client.want(t, "p", "/plain", "p")
	client.want(t, 1.0, "/sum", 1)
	client.want(t, 3.0, "/sum", 2)
	wantOutputs(t, client.Submit("/chat", "abc"), "a", "ab", "abc")
	client.want(t, "done", "/work", 3)
	wantError(t, client.Submit("/boom", "no"), "AppError: no")
	half := client.Submit("/half", "x")
	wantOutputs(t, half, "a", "ab")
	wantError(t, half, "AppError: x")
	wantError(t, client.Submit("/nowhere"), "Refused: ")
	wantError(t, client.Submit("/echo"), "Refused: ")
	var jobs []*Job
	for n := 0; n < 100; n++ {
		jobs = append(jobs, client.Submit([]string{"/chat", "/echo"}[n%2], fmt.Sprint("job ", n)))
	}
	for n, job := range jobs {
		found, err := job.Result()
		wantEqual(t, []any{found, err}, []any{fmt.Sprint("job ", n), nil})
	}
	for _, name := range strings.Split(os.Getenv("ENDLESS"), ",") {
		job := client.Submit("/endless", name)
		wantEqual(t, <-job.Outputs, 0.0)
		job.Cancel()
		wantError(t, job, "Cancelled: ")
	}
	client.want(t, "still here", "/echo", "still here")
}

func (c *Client) number(name string) float64 {
	found, _ := c.Submit(name).Result()
	number, _ := found.(float64)
	return number
}

// settles waits until no slow function runs: those that are stopped end at their next step.
func (c *Client) settles(t *testing.T) {
	t.Helper()
	for try, before := 0, -1.0; try < 60; try++ {
		now := c.number("/slow_steps")
		if now == before {
			return
		}
		before = now
		time.Sleep(350 * time.Millisecond) // three steps of one that still runs
	}
	t.Fatal("it still runs")
}

func TestReal(t *testing.T) {
	client := connect(t, "REAL")
	long := strings.Repeat("x", 100_000)
	for _, text := range []string{"hello", "", "häßlich 漢字 \U0001F600 \u2028", long} {
		client.want(t, text, "/echo", text)
	}
	client.want(t, "HELLO BOB BOB", "/greet", "Bob", 2, true)
	client.want(t, []any{3.0, 1.0}, "/divide", 7, 2)
	client.want(t, "plain", "/echo_unqueued", "plain")
	for _, said := range []string{"a", "a, b", "a, b, c"} {
		client.want(t, said, "/remember", said[len(said)-1:])
	}
	steps := []any{}
	for n := 0; n < 50; n++ {
		steps = append(steps, fmt.Sprint("step ", n))
	}
	job := client.Submit("/count", 50)
	wantOutputs(t, job, steps...)
	found, err := job.Result()
	wantEqual(t, []any{found, err}, []any{"step 49", nil})
	wantOutputs(t, client.Submit("/both", 3), []any{0.0, "text 0"}, []any{1.0, "text 0"}, []any{2.0, "text 1"})
	for output := range client.Submit("/shrink_json", "hi").Outputs {
		found = output
	}
	wantEqual(t, found, object{"flat": []any{}, "nested": []any{[]any{}}, "new": nil})
	lengths := []int{}
	for output := range client.Submit("/chat", "hi").Outputs {
		lengths = append(lengths, len(output.([]any)))
	}
	wantEqual(t, len(lengths), 14)
	wantEqual(t, lengths[13], 2*lengths[0])
	client.want(t, "done", "/progress", 4, 3)
	client.want(t, "x", "/log", "x")

	wantError(t, client.Submit("/fail", `it's "so"`), `AppError: refused: it's "so"`)
	wantError(t, client.Submit("/fail_hidden", "x"), "AppError: the function failed; the app hides")
	midway := client.Submit("/fail_midway", "x")
	wantOutputs(t, midway, "first", "second")
	wantError(t, midway, "AppError: ")
	wantError(t, client.Submit("/ecco", "x"), "Refused: ")
	wantError(t, client.Submit("/greet"), "Refused: too few")
	wantError(t, client.Submit("/greet", "x", 1, true, 4), "Refused: too many")
	for n := 0; n < 3; n++ {
		wantError(t, client.Submit("/broken"), "Refused: 500")
		client.want(t, "x", "/echo_unqueued", "x")
		client.want(t, "x", "/echo", "x")
	}

	wanted := map[*Job]any{}
	for n := 0; n < 25; n++ {
		wanted[client.Submit("/double", n, 0.05)] = 2 * float64(n)
		wanted[client.Submit("/shout", fmt.Sprint("shout ", n), 0.02)] = fmt.Sprint("SHOUT ", n)
		wanted[client.Submit("/echo", fmt.Sprint("echo ", n))] = fmt.Sprint("echo ", n)
		wanted[client.Submit("/count", n%10+1)] = fmt.Sprint("step ", n%10)
	}
	for job, result := range wanted {
		found, err := job.Result()
		wantEqual(t, []any{found, err}, []any{result, nil})
	}
}

func TestRealCancel(t *testing.T) {
	client := connect(t, "REAL")
	job := client.Submit("/slow", 100)
	wantEqual(t, <-job.Outputs, "slow 0")
	job.Cancel()
	wantError(t, job, "Cancelled: ")
	client.settles(t)
	client.want(t, "still here", "/echo", "still here")

	// Before it has an event_id.
	job = client.Submit("/slow", 100)
	job.Cancel()
	wantError(t, job, "Cancelled: ")
	client.settles(t)
}

func TestRealCancelOfTwoSiblings(t *testing.T) {
	client := connect(t, "REAL")
	for round := 0; round < 3; round++ {
		// Two are cancelled at once; both stop.
		first, second := client.Submit("/slow", 300), client.Submit("/slow", 300)
		wantEqual(t, <-first.Outputs, "slow 0")
		wantEqual(t, <-second.Outputs, "slow 0")
		first.Cancel()
		second.Cancel()
		wantError(t, first, "Cancelled: ")
		wantError(t, second, "Cancelled: ")
		client.settles(t)

		// Two are cancelled beside a third, which goes on to its end.
		first, second = client.Submit("/slow", 300), client.Submit("/slow", 300)
		third := client.Submit("/slow", 15)
		for _, job := range []*Job{first, second, third} {
			wantEqual(t, <-job.Outputs, "slow 0")
		}
		first.Cancel()
		second.Cancel()
		found, err := third.Result()
		wantEqual(t, []any{found, err}, []any{"slow 14", nil})
		client.settles(t)
	}
}

// The server is started anew when this says READY; any line on the standard input says that it is there again.
func TestRealForgotten(t *testing.T) {
	client := connect(t, "REAL")
	wait := func() {
		fmt.Println("READY")
		bufio.NewReader(os.Stdin).ReadString('\n')
	}
	if client.version < 4000 {
		job := client.Submit("/slow", 300)
		wantEqual(t, <-job.Outputs, "slow 0")
		wait()
		wantError(t, job, "Lost: ")
		client.want(t, "x", "/echo", "x")
		return
	}
	forgotten := client.job()
	s, fn := client.shared, client.functions["slow"]
	forgotten.fn = fn
	client.run(func() { // the join is answered; the stream is not open yet
		body := object{"data": []any{300}, "fn_index": fn.id, "session_hash": s.hash}
		s.jobs[client.post("queue/join", body)["event_id"].(string)] = forgotten
	})
	wait()
	client.http.CloseIdleConnections()
	other := client.Submit("/double", 7, 20) // runs for longer than the 15 s up to a heartbeat
	wantError(t, forgotten, "Lost: the server has forgotten")
	wantEqual(t, other.done, false, "the other job goes on")
	found, err := other.Result()
	wantEqual(t, []any{found, err}, []any{14.0, nil})
}
