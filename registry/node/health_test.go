package node

import (
	"testing"
	"time"
)

func TestHealth(t *testing.T) {
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	const heartbeat = 10 * time.Second
	for _, c := range []struct {
		name string
		p    progress
		want string
	}{
		{"headers come as they are made", progress{header: ago(9 * time.Second), came: ago(8 * time.Second), started: ago(time.Hour)}, "ok"},
		{"blocks are fetched", progress{header: ago(time.Hour), came: ago(time.Second), started: ago(time.Minute), fetching: true}, "syncing"},
		{"just started", progress{header: ago(time.Hour), came: time.Unix(0, 0), started: ago(time.Second), fetching: true}, "syncing"},
		{"old headers come", progress{header: ago(time.Hour), came: ago(time.Second), started: ago(time.Minute)}, "syncing"},
		{"nobody to fetch from", progress{header: ago(time.Hour), came: time.Unix(0, 0), started: ago(time.Minute), fetching: true}, "stuck"},
		{"fetching has stopped", progress{header: ago(time.Hour), came: ago(30 * time.Second), started: ago(time.Hour), fetching: true}, "stuck"},
		{"no quorum for a moment", progress{header: ago(22 * time.Second), came: ago(22 * time.Second), started: ago(time.Hour)}, "stuck"},
		{"no quorum for an hour", progress{header: ago(time.Hour), came: ago(time.Hour), started: ago(2 * time.Hour)}, "stuck"},
		{"the clock is behind", progress{header: ago(-time.Minute), came: ago(time.Second), started: ago(time.Hour)}, "stuck"},
		{"restarted without a quorum", progress{header: ago(time.Hour), came: time.Unix(0, 0), started: ago(time.Minute)}, "stuck"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.p.now = now
			if got := health(c.p, heartbeat); got != c.want {
				t.Fatalf("%s, want %s", got, c.want)
			}
		})
	}
}
