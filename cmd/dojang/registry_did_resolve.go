package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/dojang-id/dojang/internal/aries"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/did"
	"github.com/dojang-id/dojang/registry/evidence"
	"github.com/dojang-id/dojang/registry/light"
)

// didResolve shows a DID document. One of this network is put together here from proven facts, whatever nodes say of it.
type didResolve struct {
	chainFlags
	DID string `arg:"" name:"did" help:"Identifier: did:dojang of this network, did:key, or did:web."`
}

func (c *didResolve) Run(e *env) error {
	v, err := c.open(e)
	if err != nil {
		return err
	}
	resolver, err := aries.New(aries.Config{Method: "dojang", Resolve: v.document, HTTP: &http.Client{Timeout: patience}})
	if err != nil {
		return err
	}
	raw, err := resolver.Resolve(e.ctx, c.DID)
	switch {
	case errors.Is(err, aries.ErrNotFound):
		return fmt.Errorf("%w: proven: there is no such identifier", errCheck)
	case errors.Is(err, aries.ErrMethod):
		return errors.New("not an identifier that can be resolved here: did:dojang, did:key or did:web")
	case err != nil:
		return err
	}
	if c.JSON {
		return e.print(map[string]any{"did": c.DID, "document": json.RawMessage(raw)})
	}
	var out bytes.Buffer
	if err := json.Indent(&out, raw, "", "  "); err != nil {
		return err
	}
	_, err = fmt.Fprintln(e.stdout, out.String())
	return err
}

// document is an aries.ResolveFunc.
func (v *council) document(ctx context.Context, text string) ([]byte, error) {
	d, err := v.identifier(text)
	if err != nil {
		return nil, err
	}
	record, err := v.record(ctx, d)
	if errors.Is(err, registry.ErrNotFound) {
		return nil, aries.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return record.Document()
}

// record proves what a document shows, all under one header: first what the identifier lists, then that.
func (v *council) record(ctx context.Context, d registry.DID) (did.Record, error) {
	facts, err := v.facts(ctx, registry.DIDFamily(d).Latest())
	if err != nil {
		return did.Record{}, err
	}
	fact, _, err := latestOf[registry.DIDFact](facts, registry.DIDFamily(d))
	if err != nil {
		return did.Record{}, err
	}
	if fact == nil {
		return did.Record{}, registry.ErrNotFound
	}
	r := did.Record{ID: d, DID: *fact}
	if r.Keys, err = namedFacts[registry.KeyFact](ctx, v, facts, fact.Keys, func(id string) registry.Family { return registry.KeyFamily(d, id) }); err != nil {
		return r, err
	}
	r.Keys = slices.DeleteFunc(r.Keys, func(k did.Named[registry.KeyFact]) bool { return k.Fact.HeldUntil > time.Now().Unix() })
	r.Services, err = namedFacts[registry.ServiceFact](ctx, v, facts, fact.Services, func(id string) registry.Family { return registry.ServiceFamily(d, id) })
	return r, err
}

// namedFacts proves the newest facts of some names under the header of facts.
func namedFacts[T any](ctx context.Context, v *council, facts *evidence.Facts, names []string, family func(string) registry.Family) ([]did.Named[T], error) {
	var out []did.Named[T]
	for some := range slices.Chunk(names, light.MaxQueryKeys) {
		q := light.Query{Height: facts.Head().Height}
		for _, name := range some {
			q.Leaves = append(q.Leaves, family(name).Latest())
		}
		proven, _, err := v.ask(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, name := range some {
			fact, _, err := latestOf[T](proven, family(name))
			if err != nil {
				return nil, err
			}
			if fact == nil {
				return nil, errors.New("the chain lists a name that it does not have")
			}
			out = append(out, did.Named[T]{ID: name, Fact: *fact})
		}
	}
	return out, nil
}
