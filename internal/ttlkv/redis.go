package ttlkv

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// redisStore is a Redis server. Answers that belong to nobody (THREATS K03) are found by the echoed keys.
type redisStore struct {
	client *redis.Client
	ended  chan struct{}
	once   sync.Once
}

// Scripts answer with their key. Times are microseconds.
var (
	incrScript = redis.NewScript(`
local n = redis.call('INCR', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
  left = tonumber(ARGV[1])
end
return {KEYS[1], n, left}`)

	// The server's clock: replicas' clocks may differ.
	reserveScript = redis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local kept = tonumber(redis.call('GET', KEYS[1]) or '0')
local most = now + tonumber(ARGV[2])
local at = kept
if at < now then at = now end
if at > most then at = most end
local next = at + tonumber(ARGV[1])
local retry = next - tonumber(ARGV[2]) - now
if retry > 0 then
  if at == kept then return {KEYS[1], retry} end
  next = at
else
  retry = 0
end
redis.call('SET', KEYS[1], string.format('%d', next), 'PX', math.ceil((next - now) / 1000) + 1)
return {KEYS[1], retry}`)
)

func openRedis(ctx context.Context, url string) (*redisStore, error) {
	o, err := redis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("%w: malformed redis URL", ErrMisuse) // the library's text may quote the password
	}
	o.DisableIdentity = true // CLIENT SETINFO was the way into replies out of order (CVE-2025-29923)
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = 2*time.Second, time.Second, time.Second
	o.ContextTimeoutEnabled = true
	o.MaxRetries = -1 // a retried GETDEL or INCR would act twice
	s := &redisStore{client: redis.NewClient(o), ended: make(chan struct{})}
	if err := s.ping(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// kind turns the library's errors into ours.
func kind(err error) error {
	var answer redis.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, redis.Nil):
		return ErrNotFound
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &answer) && redis.HasErrorPrefix(err, "OOM"):
		return ErrFull
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

func (s *redisStore) setNX(ctx context.Context, key string, val []byte, ttl time.Duration) (bool, error) {
	err := s.client.SetArgs(ctx, key, val, redis.SetArgs{Mode: "NX", TTL: ttl}).Err()
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	return err == nil, kind(err)
}

func (s *redisStore) set(ctx context.Context, key string, val []byte, ttl time.Duration) error {
	return kind(s.client.Set(ctx, key, val, ttl).Err())
}

func (s *redisStore) get(ctx context.Context, key string) ([]byte, error) {
	b, err := s.client.Get(ctx, key).Bytes()
	return b, kind(err)
}

func (s *redisStore) take(ctx context.Context, key string) ([]byte, error) {
	b, err := s.client.GetDel(ctx, key).Bytes()
	return b, kind(err)
}

func (s *redisStore) incr(ctx context.Context, key string, window time.Duration) (string, int64, time.Duration, error) {
	echo, n, err := s.script(ctx, incrScript, key, 2, window.Milliseconds())
	if err != nil {
		return "", 0, 0, err
	}
	return echo, n[0], time.Duration(n[1]) * time.Millisecond, nil
}

func (s *redisStore) reserve(ctx context.Context, key string, g gcra) (string, time.Duration, error) {
	echo, n, err := s.script(ctx, reserveScript, key, 1, g.interval, g.burst)
	if err != nil {
		return "", 0, err
	}
	return echo, time.Duration(n[0]) * time.Microsecond, nil
}

// script runs one that answers with its key and count numbers.
func (s *redisStore) script(ctx context.Context, script *redis.Script, key string, count int, args ...int64) (string, []int64, error) {
	words := make([]any, len(args))
	for i, a := range args {
		words[i] = strconv.FormatInt(a, 10)
	}
	answer, err := script.Run(ctx, s.client, []string{key}, words...).Slice()
	if err != nil {
		return "", nil, kind(err)
	}
	if len(answer) != 1+count {
		return "", nil, ErrMismatch
	}
	echo, _ := answer[0].(string)
	numbers := make([]int64, count)
	for i, a := range answer[1:] {
		n, ok := a.(int64)
		if !ok {
			return "", nil, ErrMismatch
		}
		numbers[i] = n
	}
	return echo, numbers, nil
}

func (s *redisStore) del(ctx context.Context, key string) error {
	return kind(s.client.Del(ctx, key).Err())
}

func (s *redisStore) publish(ctx context.Context, topic string, msg []byte) error {
	return kind(s.client.Publish(ctx, topic, msg).Err())
}

func (s *redisStore) subscribe(ctx context.Context, topic string) (<-chan []byte, error) {
	sub := s.client.Subscribe(ctx, topic)
	if _, err := sub.Receive(ctx); err != nil { // the server has confirmed: later messages will arrive
		return nil, kind(errors.Join(err, sub.Close()))
	}
	out := make(chan []byte, backlog)
	go func() {
		defer close(out)
		defer func() { _ = sub.Close() }() // nothing is lost that was promised
		in := sub.Channel(redis.WithChannelSize(backlog))
		for {
			select {
			case m, ok := <-in:
				if !ok {
					return
				}
				select {
				case out <- []byte(m.Payload):
				default: // a slow reader loses it
				}
			case <-ctx.Done():
				return
			case <-s.ended:
				return
			}
		}
	}()
	return out, nil
}

func (s *redisStore) ping(ctx context.Context) error { return kind(s.client.Ping(ctx).Err()) }

func (s *redisStore) close() error {
	s.once.Do(func() { close(s.ended) })
	if err := s.client.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
		return err
	}
	return nil
}
