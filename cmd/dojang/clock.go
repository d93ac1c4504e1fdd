package main

import (
	"sync/atomic"
	"time"
)

// A clock is the one time source of the demo's parties and holders. The story moves it; nothing else does.
type clock struct{ offset atomic.Int64 }

func (c *clock) Now() time.Time { return time.Now().Add(time.Duration(c.offset.Load())) }

// Ahead says by how much.
func (c *clock) Ahead() time.Duration { return time.Duration(c.offset.Load()) }

// Set makes the clock run d ahead of the machine's.
func (c *clock) Set(d time.Duration) { c.offset.Store(int64(d)) }
