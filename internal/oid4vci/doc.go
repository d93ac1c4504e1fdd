// Package oid4vci holds the words of OpenID for Verifiable Credential Issuance 1.0 that issuer and wallet share:
// credential offer, issuer metadata, token request of the pre-authorized code, nonce, credential request and response,
// key proof, deferred and notification messages. HTTP and storage are elsewhere.
//
// An issuer starts with [DecodeCredentialRequest] and [VerifyProof], a wallet with [ParseOfferLink], [DecodeMetadata] and
// [BuildProof]. Errors that an issuer answers with are *oauth.Error with the codes of the specification.
// Everything decoded is untrusted; of a verified [Proof] only the key is established.
package oid4vci

// Credential format identifiers of appendix A.
const (
	FormatSDJWTVC = "dc+sd-jwt"
	FormatMdoc    = "mso_mdoc"
	FormatJWTVC   = "jwt_vc_json"
	FormatLDPVC   = "ldp_vc"
)
