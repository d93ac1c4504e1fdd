package issuer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// indices draws status list entries: uniformly at random among the free ones, so that an index tells nothing about when
// or for whom it was drawn. The memory of what is taken is a hint; the store's unique constraint decides (I2).
type indices struct {
	store  StatusStore
	length uint64
	random io.Reader

	mu    sync.Mutex // guards lists
	lists map[string]*openList
}

// openList is the list that a tenant's copies go to now.
type openList struct {
	number, length, free uint64
	taken                []uint64 // bitmap
}

func newIndices(cfg Config) *indices {
	return &indices{store: cfg.Store, length: cfg.ListLength, random: cfg.Random, lists: map[string]*openList{}}
}

// reserveShare of a list stays free: the last free entries of a full list would be guessable.
const reserveShare = 8

// open makes sure that a tenant has a list.
func (x *indices) open(ctx context.Context, tenant string, now time.Time) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	_, err := x.current(ctx, tenant, 1, now)
	return err
}

// draw picks n free entries of the tenant's current list.
func (x *indices) draw(ctx context.Context, tenant string, n int, now time.Time) (uint64, []uint64, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	l, err := x.current(ctx, tenant, uint64(n), now)
	if err != nil {
		return 0, nil, err
	}
	out := make([]uint64, 0, n)
	var b [8]byte
	for tries := 0; len(out) < n; tries++ {
		if tries > 4096 {
			return 0, nil, errors.New("issuer: randomness repeats itself")
		}
		if _, err := io.ReadFull(x.random, b[:]); err != nil {
			return 0, nil, fmt.Errorf("draw index: %w", err)
		}
		v := binary.BigEndian.Uint64(b[:])
		if v >= ^uint64(0)/l.length*l.length { // no bias towards low entries
			continue
		}
		if v %= l.length; l.take(v) {
			out = append(out, v)
		}
	}
	return l.number, out, nil
}

// forget reads the store again after it contradicted the memory: another process takes entries of the same list.
func (x *indices) forget(tenant string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.lists, tenant)
}

// current is the newest list with room for n; it opens the next one when there is none.
func (x *indices) current(ctx context.Context, tenant string, n uint64, now time.Time) (*openList, error) {
	if l := x.lists[tenant]; l != nil && l.room(n) {
		return l, nil
	}
	infos, err := x.store.Lists(ctx, tenant)
	if err != nil {
		return nil, fmt.Errorf("read status lists: %w", err)
	}
	var next uint64 = 1
	if len(infos) > 0 {
		last := infos[len(infos)-1]
		l, err := x.load(ctx, tenant, last)
		if err != nil {
			return nil, err
		}
		if l.room(n) {
			x.lists[tenant] = l
			return l, nil
		}
		next = last.Number + 1
	}
	info := ListInfo{Number: next, Length: x.length, OpenedAt: now}
	if err := x.store.AddList(ctx, tenant, info); err != nil && !errors.Is(err, ErrNotCurrent) {
		return nil, fmt.Errorf("open status list: %w", err)
	}
	l, err := x.load(ctx, tenant, info)
	if err != nil {
		return nil, err
	}
	if !l.room(n) {
		return nil, errors.New("issuer: status list is too short for a batch")
	}
	x.lists[tenant] = l
	return l, nil
}

func (x *indices) load(ctx context.Context, tenant string, info ListInfo) (*openList, error) {
	l := &openList{number: info.Number, length: info.Length, free: info.Length, taken: make([]uint64, (info.Length+63)/64)}
	if err := x.store.Taken(ctx, tenant, info.Number, func(i uint64) { l.take(i) }); err != nil {
		return nil, fmt.Errorf("read taken indices: %w", err)
	}
	return l, nil
}

func (l *openList) room(n uint64) bool { return l.free >= l.length/reserveShare+n }

func (l *openList) take(i uint64) bool {
	if i >= l.length || l.taken[i/64]&(1<<(i%64)) != 0 {
		return false
	}
	l.taken[i/64] |= 1 << (i % 64)
	l.free--
	return true
}
