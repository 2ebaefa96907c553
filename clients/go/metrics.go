package tallybook

import (
	"fmt"
	"strings"
	"sync/atomic"
)

// counters are what a client has done, for its metrics.
type counters struct {
	recorded, dropped, sealed, sealFailures            atomic.Int64
	accepted, rejected, merged, split                  atomic.Int64
	acceptedAttempts, unknownAttempts, refusedAttempts atomic.Int64
	isPaused                                           atomic.Bool
}

// countAttempt counts an attempt.
func (c *counters) countAttempt(outcome outcome) {
	switch outcome {
	case accepted:
		c.acceptedAttempts.Add(1)
	case unknown:
		c.unknownAttempts.Add(1)
	default:
		c.refusedAttempts.Add(1)
	}
}

// gauges are what is measured when the metrics are read.
type gauges struct {
	accumulators, flushes, bytes int64
}

// format formats the metrics as Prometheus reads them.
func (c *counters) format(now gauges) string {
	var text strings.Builder
	head := func(name, kind, help string) {
		name = "tallybook_client_" + name
		fmt.Fprintf(&text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
	}
	sample := func(name string, value int64) {
		fmt.Fprintf(&text, "tallybook_client_%s %d\n", name, value)
	}
	counter := func(name, help string, value *atomic.Int64) {
		head(name, "counter", help)
		sample(name, value.Load())
	}
	gauge := func(name, help string, value int64) {
		head(name, "gauge", help)
		sample(name, value)
	}
	counter("recorded_total", "Calls that were counted.", &c.recorded)
	counter("dropped_total", "Calls whose input was invalid.", &c.dropped)
	gauge("accumulators", "Accounts and dimensions in memory.", now.accumulators)
	counter("sealed_total", "Flushes written to the spool.", &c.sealed)
	counter("accepted_total", "Flushes that the service has.", &c.accepted)
	counter("rejected_total", "Flushes moved to rejected.", &c.rejected)
	counter("merged_total", "Flushes that became part of another one.", &c.merged)
	counter("split_total", "Flushes that were split.", &c.split)
	counter("seal_failures_total", "Seals that the disk refused.", &c.sealFailures)
	head("attempts_total", "counter", "Attempts to post a flush.")
	sample(`attempts_total{outcome="accepted"}`, c.acceptedAttempts.Load())
	sample(`attempts_total{outcome="unknown"}`, c.unknownAttempts.Load())
	sample(`attempts_total{outcome="refused"}`, c.refusedAttempts.Load())
	gauge("spool_flushes", "Flushes waiting in the spool.", now.flushes)
	gauge("spool_bytes", "Bytes waiting in the spool.", now.bytes)
	paused := int64(0)
	if c.isPaused.Load() {
		paused = 1
	}
	gauge("paused", "1 while the service refuses this client.", paused)
	return text.String()
}
