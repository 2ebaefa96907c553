package tallybook

import (
	"errors"
	"net/url"
	"os"
	"strings"
	"time"
)

// Options say how a client works. URL, Token and Spool are required; others have defaults.
type Options struct {
	// URL is the address of the service, with its base path if it has one.
	URL string
	// Token has the role dp.
	Token string
	// Spool is a directory of this client alone, on a disk that outlives the process. It is created
	// if absent.
	Spool string
	// Instance is the name of this proxy: 1 to 64 of `[A-Za-z0-9._-]`. Default: the host name.
	Instance string
	// SealInterval is how often counts are sealed, ± 20 %. Default: 5 s.
	SealInterval time.Duration
	// SealAt is the number of accounts and dimensions at which counts are sealed at once. Default:
	// 5,000.
	SealAt int
	// SpoolLimits are those above which flushes are merged. Default: 1,000 flushes and 64 MiB.
	SpoolLimits Limits
	// Timeout is how long an attempt may take. Default: 30 s.
	Timeout time.Duration
	// Backoff is the range of the delays after failures. Default: from 500 ms to 30 s.
	Backoff Backoff
	// Shadow is a second service that gets each flush once; its failures never matter. Default: none.
	Shadow *Target
	// FollowExhausted is true to follow the exhausted quotas for IsExhausted.
	FollowExhausted bool

	// The client waits for the following functions. They must not call Seal, Drained or Close.

	// OnError is called after a failure that the client deals with by itself: an attempt, or the disk.
	OnError func(error)
	// OnRejected is called when a flush was moved to rejected.
	OnRejected func(Rejected)
	// OnPause is called when the service begins to refuse this client.
	OnPause func(Reason)
	// OnResume is called when the service no longer refuses this client.
	OnResume func()
}

// maxInstance is the length of the longest name of a proxy.
const maxInstance = 64

// withDefaults adds the defaults. It fails if an option can't work.
func (o Options) withDefaults() (Options, error) {
	if o.Instance == "" {
		o.Instance = hostInstance()
	}
	if len(o.Instance) > maxInstance || strings.ContainsFunc(o.Instance, isNotInstance) {
		return o, errors.New("tallybook: Instance has 1 to 64 of [A-Za-z0-9._-]")
	}
	address, err := url.Parse(o.URL)
	if err != nil || (address.Scheme != "http" && address.Scheme != "https") || address.Host == "" {
		return o, errors.New("tallybook: URL is no address of a service")
	}
	if o.Spool == "" {
		return o, errors.New("tallybook: Spool is missing")
	}
	o.SealInterval = orDefault(o.SealInterval, 5*time.Second)
	o.SealAt = orDefault(o.SealAt, 5_000)
	o.SpoolLimits.Flushes = orDefault(o.SpoolLimits.Flushes, 1_000)
	o.SpoolLimits.Bytes = orDefault(o.SpoolLimits.Bytes, 64<<20)
	o.Timeout = orDefault(o.Timeout, 30*time.Second)
	o.Backoff.First = orDefault(o.Backoff.First, 500*time.Millisecond)
	o.Backoff.Longest = orDefault(o.Backoff.Longest, 30*time.Second)
	onResume := o.OnResume
	resume := harmless(func(struct{}) {
		if onResume != nil {
			onResume()
		}
	})
	o.OnError = harmless(o.OnError)
	o.OnRejected = harmless(o.OnRejected)
	o.OnPause = harmless(o.OnPause)
	o.OnResume = func() { resume(struct{}{}) }
	return o, nil
}

func (o *Options) target() Target {
	return Target{o.URL, o.Token}
}

// orDefault returns the default of an option that is absent, or that can't work.
func orDefault[Value int | int64 | time.Duration](value, otherwise Value) Value {
	if value <= 0 {
		return otherwise
	}
	return value
}

// hostInstance makes a name of a proxy from the name of the host.
func hostInstance() string {
	host, _ := os.Hostname()
	name := strings.Map(func(r rune) rune {
		if isNotInstance(r) {
			return '-'
		}
		return r
	}, host)
	if name == "" {
		return "proxy"
	}
	return name[:min(len(name), maxInstance)]
}

func isNotInstance(r rune) bool {
	return (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (r < '0' || r > '9') &&
		r != '.' && r != '_' && r != '-'
}

// harmless returns a function that calls another one, if there is one. A panic in it must not end
// the proxy.
func harmless[Argument any](callback func(Argument)) func(Argument) {
	return func(argument Argument) {
		defer func() { _ = recover() }()
		if callback != nil {
			callback(argument)
		}
	}
}
