// Package httpd is the HTTP edge that every party shares: the listener, the middleware, problems, huma wiring, and the
// one client that may fetch what others name.
//
// Use [Serve] for a listener, [NewMux] for plain protocol endpoints, [NewAPI] for APIs that we design (huma),
// [NewClient] for every outbound request.
//
// What is trusted: the configuration. Nothing of a request is: no header names the client's address unless the peer is
// a listed proxy, no header names our own URL, ids are ours. Access logs hold method, route pattern, status, bytes,
// milliseconds and request id, nothing else. Limits: THREATS 5 "API/network", J18.
package httpd
