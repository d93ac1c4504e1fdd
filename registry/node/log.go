package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	cmtlog "github.com/cometbft/cometbft/libs/log"
)

// engineLog lets the engine speak through slog. The engine is talkative: its Info is our Debug, so that a
// healthy node is silent; its errors stay errors.
type engineLog struct{ out *slog.Logger }

var _ cmtlog.Logger = engineLog{}

func (l engineLog) Debug(string, ...any) {}

func (l engineLog) Info(msg string, keyvals ...any) { l.log(slog.LevelDebug, msg, keyvals) }

func (l engineLog) Error(msg string, keyvals ...any) {
	level := slog.LevelError
	// A stop, not a fault.
	if strings.Contains(msg, "as transport is closed") || strings.HasPrefix(msg, "Error closing") || strings.HasPrefix(msg, "Error stopping") ||
		msg == "error while stopping peer" || strings.HasSuffix(msg, "switch is not running") {
		level = slog.LevelDebug
	}
	// The sign state forbids to say a second thing in a step: so it should, after an end in the middle of a round.
	if strings.Contains(msg, "failed signing") && slices.ContainsFunc(keyvals, func(v any) bool {
		err, ok := v.(error)
		return ok && (strings.Contains(err.Error(), "regression") || strings.Contains(err.Error(), "conflicting data") || errors.Is(err, errSignedBefore))
	}) {
		level = slog.LevelWarn
	}
	if msg == "Stopping peer for error" { // it went away: the health and the metrics show it
		level = slog.LevelInfo
	}
	l.log(level, msg, keyvals)
}

func (l engineLog) With(keyvals ...any) cmtlog.Logger {
	return engineLog{l.out.With(attributes(keyvals)...)}
}

func (l engineLog) log(level slog.Level, msg string, keyvals []any) {
	if !l.out.Enabled(context.Background(), level) {
		return
	}
	l.out.Log(context.Background(), level, "engine: "+msg, attributes(keyvals)...)
}

// attributes turns the engine's loose pairs into attributes; its lazy values are rendered only here.
func attributes(keyvals []any) []any {
	out := make([]any, 0, len(keyvals)/2)
	for i := 0; i+1 < len(keyvals); i += 2 {
		key, ok := keyvals[i].(string)
		if !ok {
			key = fmt.Sprint(keyvals[i])
		}
		out = append(out, slog.String(key, fmt.Sprint(keyvals[i+1])))
	}
	return out
}
