// Package console is the Explorer: pages on which anybody reads what stands on the registry chain, in Korean and in
// English, without a script. New is the function to use first; NewChainSource reads a node.
//
// Nothing here decides anything and nothing here must be believed: every fact links to its Evidence, which readers check
// themselves. Trusted is the Source. Texts that came from the chain were approved there, and are still shown as strangers':
// escaped, isolated in their direction, control characters made visible. Requests are untrusted and bounded.
package console
