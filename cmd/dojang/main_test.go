package main

import (
	"slices"
	"testing"
)

func TestJoinValues(t *testing.T) {
	got := joinValues([]string{"demo", "result", "--id", "-gA6QrtG", "--json"})
	if want := []string{"demo", "result", "--id=-gA6QrtG", "--json"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if got := joinValues([]string{"demo", "result", "--id"}); !slices.Equal(got, []string{"demo", "result", "--id"}) {
		t.Errorf("got %q", got)
	}
}
