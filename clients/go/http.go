package tallybook

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"
)

// Target is a service, and a token with the role dp.
type Target struct {
	// URL is the address of the service, with its base path if it has one.
	URL   string
	Token string
}

type answer struct {
	status           int
	retryAfter, body string
}

const (
	// maxAnswerBytes is the most that is read of an answer: answers to flushes are short.
	maxAnswerBytes = 65_536
	// idleTimeout is shorter than that of servers: a request on a connection that they are closing
	// would have an unknown outcome.
	idleTimeout = 2 * time.Second
)

// newHTTPClient returns a client that does what it is told, and no redirects, with the proxies and
// certificates of http.DefaultTransport.
func newHTTPClient() *http.Client {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}
	if base, isTransport := http.DefaultTransport.(*http.Transport); isTransport {
		transport = base.Clone()
	}
	transport.IdleConnTimeout = idleTimeout
	transport.DisableCompression = true
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// newRequest makes a request to a target.
func newRequest(
	ctx context.Context, method string, to Target, path string, body io.Reader,
) (*http.Request, error) {
	url := strings.TrimRight(to.URL, "/") + path
	request, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+to.Token)
	request.Header.Set("User-Agent", "tallybook-go/"+Version)
	return request, nil
}

// post posts a flush. The error is not nil if there is no complete answer.
func post(
	ctx context.Context, client *http.Client, to Target, posted *flush, body string,
) (*answer, error) {
	request, err := newRequest(ctx, http.MethodPost, to, posted.Path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	// Without this the transport would send a request with a key again by itself if the connection
	// breaks, and the answer would say nothing about the first attempt.
	request.GetBody = nil
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", posted.Key)
	if posted.Sequence != nil {
		request.Header.Set("Tallybook-Sequence", *posted.Sequence)
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes))
	if err != nil {
		return nil, err
	}
	return &answer{response.StatusCode, response.Header.Get("Retry-After"), string(text)}, nil
}
