package schemas

import (
	"errors"
	"strconv"
	"strings"
)

// VCT is `urn:dojang:kr:<name>:<major>`. name is the folder's name: lower-case words joined by hyphens.
func VCT(name string, major int) string {
	return vctPrefix + name + ":" + strconv.Itoa(major)
}

// DocType is `kr.dojang.` + name without hyphens + `.` + major; the mdoc namespace is the same string.
func DocType(name string, major int) string {
	return docTypePrefix + strings.ReplaceAll(name, "-", "") + "." + strconv.Itoa(major)
}

// ParseVCT is the inverse of VCT and refuses every other spelling.
func ParseVCT(vct string) (name string, major int, err error) {
	rest, ok := strings.CutPrefix(vct, vctPrefix)
	name, number, found := strings.Cut(rest, ":")
	major, convErr := strconv.Atoi(number)
	if !ok || !found || convErr != nil || major < 1 || major > 999 || !validName(name) || VCT(name, major) != vct {
		return "", 0, errors.New("schemas: not a credential type of this network")
	}
	return name, major, nil
}

const (
	vctPrefix     = "urn:dojang:kr:"
	docTypePrefix = "kr.dojang."
)

func validName(s string) bool {
	if s == "" || len(s) > 48 || s[0] == '-' || s[len(s)-1] == '-' || strings.Contains(s, "--") {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && c != '-' {
			return false
		}
	}
	return true
}
