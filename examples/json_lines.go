// client.go, told as JSON lines for `conform client`:
//
//	go build -o client client.go json_lines.go
//	python -m sansio_gradio_adapters conform client --can cancel,jobs -- ./client --json-lines {url} {api} {data} {jobs}
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"
)

func init() { // instead of main
	if len(os.Args) == 6 && os.Args[1] == "--json-lines" {
		if err := catch(func() { jsonLines(os.Args[2], os.Args[3], os.Args[4], os.Args[5]) }); err != nil {
			tell("error", err.Error())
		}
		os.Exit(0)
	}
}

func tell(key string, value any) { fmt.Println(string(must(json.Marshal(object{key: value})))) }

// jsonLines tells all that one call gives, or the results of several at once.
func jsonLines(address, name, data, jobs string) {
	client, args, calls := must(Connect(address)), []any{}, [][]any{}
	json.Unmarshal([]byte(data), &args)
	if json.Unmarshal([]byte(jobs), &calls); len(calls) == 0 {
		calls = [][]any{{name, args}}
	}
	started, results := []*Job{}, []any{}
	for _, call := range calls {
		started = append(started, client.Submit(call[0].(string), call[1].([]any)...))
	}
	stopped := make(chan os.Signal, 1)
	signal.Notify(stopped, os.Interrupt)
	go func() { <-stopped; started[0].Cancel() }()
	for output := range started[0].Outputs {
		if len(calls) == 1 {
			tell("output", started[0].listed(output))
		}
	}
	for _, job := range started {
		result, err := job.Result()
		if err != nil && strings.HasPrefix(err.Error(), "Cancelled") {
			time.Sleep(time.Second / 2) // the server is being told
			tell("cancelled", true)
			return
		}
		results = append(results, job.listed(must(result, err)))
	}
	if len(calls) == 1 {
		tell("result", results[0])
	} else {
		tell("result", results)
	}
}

// listed is a value as a list, one item for each output that callers see.
func (job *Job) listed(value any) []any {
	seen := 0
	for _, isSeen := range job.fn.outputs {
		if isSeen {
			seen++
		}
	}
	if seen == 1 {
		return []any{value}
	}
	return value.([]any)
}
