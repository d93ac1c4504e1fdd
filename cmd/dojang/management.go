package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// call speaks to a party's management API as any other client would. in and out may be nil; a []byte in is sent as CSV.
func call(ctx context.Context, p partyJSON, method, path string, in, out any) error {
	body, contentType, err := encodeBody(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, p.ManagementURL+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+p.Token)
	if in != nil {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := (&http.Client{Timeout: 30 * time.Second}).Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 4<<20))
	if err != nil {
		return err
	}
	if res.StatusCode/100 != 2 {
		return problemError(method+" "+path, res.StatusCode, answer)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

func encodeBody(in any) (io.Reader, string, error) {
	switch v := in.(type) {
	case nil:
		return nil, "", nil
	case []byte:
		return bytes.NewReader(v), "text/csv", nil
	default:
		b, err := json.Marshal(v)
		return bytes.NewReader(b), "application/json", err
	}
}

// problemError tells an RFC 9457 problem in one line.
func problemError(what string, status int, answer []byte) error {
	var p struct {
		Title, Detail, Code string
	}
	if json.Unmarshal(answer, &p) == nil && p.Title != "" {
		if p.Detail == "" {
			p.Detail = strings.ToLower(p.Title)
		}
		return fmt.Errorf("%s (%s: %d %s)", p.Detail, what, status, p.Code)
	}
	return fmt.Errorf("%s: status %d", what, status)
}
